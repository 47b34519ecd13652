// What is coming in: asks the status twice in three seconds and draws what it says. No state but what is on the page.
"use strict";

const PERIOD_MS = 1500;
const KEPT_POINTS = 120;
const SILENT_SECONDS = 60;
const EXAMPLE = `SELECT metric, count(*) AS series
FROM series GROUP BY metric
ORDER BY series DESC LIMIT 12`;

const by = (id) => document.getElementById(id);
const history = new Map();
let live = true;

const count = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const rate = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (number >= 1024 && unit < units.length - 1) { number /= 1024; unit += 1; }
  return `${unit === 0 ? number : number.toPrecision(3)} ${units[unit]}`;
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function state(kind, word) {
  const shapes = { ok: "●", warn: "▲", bad: "■" };
  const made = element("span", undefined, `state ${kind}`);
  const shape = element("span", shapes[kind], "shape");
  shape.setAttribute("aria-hidden", "true");
  made.append(shape, word);
  return made;
}

function spark(values) {
  const ns = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(ns, "svg");
  picture.setAttribute("class", "spark");
  picture.setAttribute("viewBox", `0 0 ${KEPT_POINTS} 20`);
  picture.setAttribute("preserveAspectRatio", "none");
  picture.setAttribute("role", "img");
  const top = Math.max(...values, 1e-9);
  picture.setAttribute("aria-label", `between ${rate.format(Math.min(...values))} and ${rate.format(top)} a second`);
  const start = KEPT_POINTS - values.length;
  const points = values.map((value, at) => `${start + at},${(18.5 - 17 * value / top).toFixed(2)}`);
  const path = document.createElementNS(ns, "path");
  path.setAttribute("d", `M${points.join("L")}`);
  path.setAttribute("vector-effect", "non-scaling-stroke");
  picture.append(path);
  return picture;
}

function cell(content, className) {
  const made = element("td", undefined, className);
  made.append(content);
  return made;
}

const WORDS = {
  remote_write: "remote write", otlp_grpc: "OTLP gRPC", otlp_http: "OTLP HTTP", scrape: "scraping",
  host: "this machine", self: "Kandela itself",
};

function sourceRow(source) {
  const key = `${source.protocol} ${source.name} ${source.tenant}`;
  const past = history.get(key) ?? [];
  past.push(source.per_second);
  history.set(key, past.slice(-KEPT_POINTS));
  const silent = source.silent_seconds > SILENT_SECONDS;
  const word = silent ? `silent for ${count.format(source.silent_seconds)} s` : "sending";
  const name = source.tenant === "default" ? source.name : `${source.name} (${source.tenant})`;
  const row = element("tr");
  row.append(
    cell(state(silent ? "warn" : "ok", word)), cell(name), cell(WORDS[source.protocol] ?? source.protocol),
    cell(rate.format(source.per_second), "n"), cell(spark(history.get(key))),
    cell(count.format(source.samples), "n"), cell(count.format(source.spans), "n"),
    cell(count.format(source.logs), "n"), cell(source.bytes ? bytes(source.bytes) : "–", "n"),
  );
  return row;
}

function targetRow(target) {
  const row = element("tr");
  const down = target.health === "down";
  const why = element("td", down ? target.error : "not scraped yet", "muted why");
  why.colSpan = 7;
  row.append(cell(state(down ? "bad" : "warn", target.health)), cell(`${target.job} ${target.url}`), why);
  return row;
}

function answer(status) {
  const foreign = status.sources.filter((s) => s.protocol !== "self" && s.silent_seconds <= SILENT_SECONDS);
  const total = foreign.reduce((sum, source) => sum + source.per_second, 0);
  if (!status.ready) return state("warn", "Recovering what was acknowledged before the restart; sending works again in a moment.");
  if (foreign.length === 0) return state("warn", "Nothing is coming in yet.");
  const who = foreign.length === 1 ? "One source sends" : `${foreign.length} sources send`;
  return state("ok", `${who} ${rate.format(total)} points a second.`);
}

function ways(status) {
  const scheme = status.tls ? "https" : "http";
  const port = (address) => address.slice(address.lastIndexOf(":") + 1);
  const at = (address) => `${scheme}://${location.hostname}:${port(address)}`;
  const listed = [["Prometheus: remote_write in prometheus.yml",
    `remote_write:\n  - url: ${at(status.addresses.http)}/api/v1/write`]];
  listed.push(["OpenTelemetry over HTTP: your service's environment",
    `OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\nOTEL_EXPORTER_OTLP_ENDPOINT=${at(status.addresses.otlp_http)}`]);
  listed.push(["OpenTelemetry over gRPC",
    `OTEL_EXPORTER_OTLP_PROTOCOL=grpc\nOTEL_EXPORTER_OTLP_ENDPOINT=${at(status.addresses.otlp_grpc)}`]);
  listed.push(["Scraping: kandela up --config kandela.yaml",
    "scrape_configs:\n  - job_name: shop\n    static_configs:\n      - targets: ['localhost:9100']"]);
  return listed.map(([title, text]) => {
    const made = element("div");
    made.append(element("h3", title), element("pre", text));
    return made;
  });
}

function kept(status) {
  const lake = status.lake;
  if (!lake) return;
  by("kept-answer").textContent = `${count.format(lake.active_series)} active series · ` +
    `${bytes(lake.memory_bytes)} of ${bytes(lake.memory_limit_bytes)} memory · ${bytes(lake.disk_bytes)} on disk`;
  by("tables").replaceChildren(...lake.tables.map((table) => {
    const row = element("tr");
    row.append(cell(table.name), cell(count.format(table.rows), "n"), cell(count.format(table.files), "n"),
      cell(bytes(table.bytes), "n"));
    return row;
  }));
}

async function refresh() {
  try {
    const reply = await fetch("/api/kandela/v1/status");
    if (!reply.ok) throw new Error(`status ${reply.status}`);
    const status = await reply.json();
    const foreign = status.sources.some((source) => !["self", "host"].includes(source.protocol));
    by("answer").replaceChildren(answer(status));
    by("place").textContent = `${status.version} · data in ${status.data}`;
    by("fresh").textContent = `as of ${new Date().toLocaleTimeString()}`;
    by("sources").replaceChildren(...status.targets.map(targetRow), ...status.sources.map(sourceRow));
    by("next").hidden = foreign;
    if (!foreign && by("ways").childElementCount === 0) by("ways").replaceChildren(...ways(status));
    kept(status);
  } catch (error) {
    by("answer").replaceChildren(state("bad", `The server does not answer (${error.message}). Is kandela up still running?`));
  }
}

function shown(value) {
  if (value === null) return "–";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

async function ask(event) {
  event?.preventDefault();
  by("asked").textContent = "running…";
  const began = performance.now();
  const reply = await fetch("/api/sql?format=json", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ query: by("query").value }),
  }).then((response) => response.json()).catch((error) => ({ error: error.message }));
  const table = by("result");
  if (reply.error) {
    by("asked").replaceChildren(state("bad", reply.error));
    table.replaceChildren();
    return;
  }
  const names = reply.columns.map((column) => column.name);
  const numeric = reply.columns.map((column) => /^(U?Int|Float|Decimal)/.test(column.type));
  const head = element("tr");
  names.forEach((name, at) => {
    const title = element("th", name, numeric[at] ? "n" : "");
    title.scope = "col";
    head.append(title);
  });
  const rows = reply.rows.slice(0, 500).map((row) => {
    const made = element("tr");
    names.forEach((name, at) => made.append(cell(shown(row[name]), numeric[at] ? "n" : "")));
    return made;
  });
  table.replaceChildren(head, ...rows);
  const more = reply.rows.length > rows.length ? `, the first ${rows.length} shown` : "";
  by("asked").textContent = `${count.format(reply.rows.length)} rows${more} · ${count.format(performance.now() - began)} ms`;
}

function toggle() {
  live = !live;
  by("live").setAttribute("aria-pressed", String(live));
  by("live").textContent = live ? "Live" : "Paused";
}

by("query").value = EXAMPLE;
by("ask").addEventListener("submit", ask);
by("query").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) ask(event);
});
by("live").addEventListener("click", toggle);
document.addEventListener("keydown", (event) => {
  if (event.key === " " && event.target === document.body) { event.preventDefault(); toggle(); }
});
refresh().then(() => ask());
setInterval(() => { if (live && !document.hidden) refresh(); }, PERIOD_MS);
