import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { api } from "./api";
import { App } from "./App";
import { newManager } from "./auth";
import "./style.css";

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <App api={api} newManager={newManager} />
  </StrictMode>,
);
