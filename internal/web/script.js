// The pages work without this script. It must never tell screen readers what changes each
// second, and must never send a form by itself, except an answer to an app.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const reading = new AbortController();

  // A form, which has one button, is sent once. A page that the back button shows again can be used again.
  document.addEventListener("submit", (event) => {
    const button = event.target.querySelector("button");
    if (button.getAttribute("aria-disabled")) {
      event.preventDefault();
      return;
    }
    button.setAttribute("aria-disabled", "true");
    button.setAttribute("aria-busy", "true");
    reading.abort();
    setTimeout(free, 10000); // the connection may be lost; a form that is sent twice has one effect
  });
  const free = () => {
    for (const button of document.querySelectorAll("[aria-busy]")) {
      button.removeAttribute("aria-busy");
      button.removeAttribute("aria-disabled");
    }
  };
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) free();
  });

  // count shows what is left of some seconds, in steps of unit, until they are over. It
  // counts from now, because the clock of the device may be wrong.
  const count = (element, seconds, unit, name, over) => {
    const end = Date.now() + 1000 * seconds;
    const tick = () => {
      const left = Math.ceil((end - Date.now()) / 1000);
      if (left <= 0) {
        over();
        return;
      }
      const text = element.dataset.text.replace("{" + name + "}", Math.ceil(left / unit));
      if (element.textContent !== text) element.textContent = text;
      setTimeout(tick, 500);
    };
    tick();
  };

  // The pause before a message can be sent again.
  const pause = byId("wait");
  if (pause) {
    const button = byId("resend");
    button.setAttribute("aria-disabled", "true");
    count(pause, Number(pause.dataset.wait), 1, "seconds", () => {
      button.removeAttribute("aria-disabled");
      button.removeAttribute("aria-describedby");
      pause.hidden = true;
    });
  }

  // How long the code can be used.
  const expires = byId("expires");
  if (expires) {
    count(expires, Number(expires.dataset.left), 60, "minutes", () => {
      expires.textContent = expires.dataset.over;
    });
  }

  // Browsers that read the code out of a text message (WebOTP).
  const field = byId("code");
  if (field && "sms" in field.dataset && "OTPCredential" in window) {
    navigator.credentials.get({ otp: { transport: ["sms"] }, signal: reading.signal }).then((found) => {
      if (!found || !found.code || field.value) return;
      field.value = found.code; // the person sends it, after reading what the page shows
    }, () => {}); // the person types the code
  }

  // Recovery codes: buttons that need a script.
  const copy = document.querySelector("[data-copy]");
  if (copy && navigator.clipboard) {
    copy.hidden = false;
    copy.addEventListener("click", () => {
      navigator.clipboard.writeText(copy.dataset.copy).then(() => {
        byId("said").textContent = copy.dataset.done;
      }, () => {}); // the codes can be selected
    });
  }
  const file = document.querySelector("[data-file]");
  if (file) {
    file.hidden = false;
    file.addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([file.dataset.file], { type: "text/plain;charset=utf-8" }));
      link.download = "recovery-codes.txt";
      link.click();
      URL.revokeObjectURL(link.href);
    });
  }
  const print = document.querySelector("[data-print]");
  if (print) {
    print.hidden = false;
    print.addEventListener("click", () => window.print());
  }

  const answer = document.querySelector("[data-post]");
  if (answer) answer.requestSubmit();

  const problem = byId("problem");
  if (problem) problem.focus();
})();
