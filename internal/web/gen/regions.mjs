// Writes the names of countries and regions in the languages of the pages, from the data of
// ICU in Node. Run it from the root of the project: node internal/web/gen/regions.mjs
import { execFileSync } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";

const regions = execFileSync("go", ["run", "./internal/web/gen"], { encoding: "utf8" }).trim().split("\n");
for (const file of readdirSync("internal/texts/catalogue")) {
  const tag = file.replace(".json", "");
  const names = new Intl.DisplayNames([tag], { type: "region", fallback: "code" });
  const compare = new Intl.Collator(tag).compare;
  const lines = regions.map((code) => [code, names.of(code)]).sort((a, b) => compare(a[1], b[1]));
  writeFileSync(`internal/web/regions/${tag}.txt`, lines.map(([code, name]) => `${code} ${name}\n`).join(""));
}
