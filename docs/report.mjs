// Reads the service's log (docs/log.md) from stdin, and prints for each client what was sent,
// how much of it was approved and how fast, and which errors there were. Lines that are not of
// the log are skipped.
//
//	node docs/report.mjs [--settled MINUTES] < twofa.log
//
// MINUTES (default 15): a verification counts if its first code was sent that long before
// the last line.
import { createInterface } from 'node:readline';

const none = '-'; // no client, country or field
const all = '*';

function settledMinutes(args) {
  if (args.length === 0) return 15;
  const minutes = Number(args[1]);
  if (args.length !== 2 || args[0] !== '--settled' || !(minutes >= 0)) {
    console.error('usage: node report.mjs [--settled MINUTES] < twofa.log');
    process.exit(2);
  }
  return minutes;
}

// event returns the object of a line, undefined if it is not a line of the log. A log
// collector may have put something before it.
function event(line) {
  const begin = line.indexOf('{');
  if (begin < 0) return undefined;
  try {
    const l = JSON.parse(line.slice(begin));
    return typeof l.msg === 'string' && !Number.isNaN(Date.parse(l.time)) ? l : undefined;
  } catch {
    return undefined;
  }
}

async function readLog() {
  const requests = [];
  let last = -Infinity;
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    const l = event(line);
    if (!l) continue;
    l.at = Date.parse(l.time);
    last = Math.max(last, l.at);
    if (l.msg === 'request') requests.push(l);
  }
  return { requests, last };
}

// verifications returns what the log says of each verification, by id.
function verifications(requests) {
  const byID = new Map();
  for (const l of requests) {
    if (!l.verification) continue;
    if (!byID.has(l.verification)) byID.set(l.verification, { codes: [] });
    const v = byID.get(l.verification);
    v.client ??= l.client; // a provider's report has none
    if (l.sent) v.codes.push({ at: l.at, country: l.country ?? none, channel: l.channel });
    if (l.age_ms !== undefined) v.age = l.age_ms;
  }
  return byID.values();
}

// percentile returns the smallest value that at least p percent do not exceed.
function percentile(values, p) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)];
}

const seconds = (ms) => (ms === undefined ? none : `${(ms / 1000).toFixed(1)}s`);

function sent(requests, settledUntil) {
  const groups = new Map();
  const group = (...key) => {
    const name = key.join(' ');
    if (!groups.has(name)) groups.set(name, { key, codes: 0, verifications: 0, ages: [] });
    return groups.get(name);
  };
  for (const v of verifications(requests)) {
    if (v.codes.length === 0) continue;
    const client = v.client ?? none;
    const total = group(client, all, all);
    for (const { country, channel } of v.codes) {
      group(client, country, channel).codes++;
      total.codes++;
    }
    if (Math.min(...v.codes.map((c) => c.at)) > settledUntil) continue;
    const { country, channel } = v.codes.reduce((a, b) => (b.at >= a.at ? b : a));
    for (const g of [group(client, country, channel), total]) {
      g.verifications++;
      if (v.age !== undefined) g.ages.push(v.age);
    }
  }
  return [...groups.values()].map((g) => [
    ...g.key, g.codes, g.verifications,
    g.verifications ? `${Math.round((100 * g.ages.length) / g.verifications)}%` : none,
    seconds(percentile(g.ages, 50)), seconds(percentile(g.ages, 95)),
  ]);
}

function errors(requests) {
  const counts = new Map();
  for (const l of requests) {
    if (l.outcome === 'ok') continue;
    for (const field of l.fields ? l.fields.split(',') : [none]) {
      const key = [l.client ?? none, l.outcome, field].join(' ');
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  return [...counts].map(([key, n]) => [...key.split(' '), n]);
}

// print prints rows in columns, those of a client together, its total last.
function print(head, rows) {
  const order = (row) => row.join(' ').replaceAll(all, '\uffff');
  rows.sort((a, b) => (order(a) < order(b) ? -1 : 1));
  const table = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, i) => Math.max(...table.map((row) => row[i].length)));
  const right = (i) => !/^(client|country|channel|error|field)$/.test(head[i]);
  for (const row of table) {
    console.log(row.map((cell, i) => (right(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join('  ').trimEnd());
  }
}

const minutes = settledMinutes(process.argv.slice(2));
const { requests, last } = await readLog();
print(['client', 'country', 'channel', 'codes', 'verifications', 'approved', 'median', 'p95'], sent(requests, last - minutes * 60_000));
console.log();
print(['client', 'error', 'field', 'count'], errors(requests));
