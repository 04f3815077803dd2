// Charts of what runs logged: one for each metric, with a line for each run on the page.
// The page names runs by elements with data-series (where the values are) and data-label.
"use strict";
(() => {
  const grid = document.getElementById("charts");
  if (!grid) return;
  const controls = document.getElementById("chart-controls");
  const runs = [...document.querySelectorAll("[data-series]")].map((element, number) => ({
    place: element.dataset.series,
    label: element.dataset.label,
    live: "live" in element.dataset,
    number,
    found: {},
  }));
  const cards = new Map(); // metric → {element, holder, chart}
  const light = ["#0d6b63", "#c2410c", "#1f5fb4", "#a21caf", "#4d7c0f", "#b3261e", "#5b4bc4", "#8a5a00", "#0e7490", "#57534e"];
  const dark = ["#57d3c3", "#ffa66b", "#8ab8ff", "#f0a3f5", "#b6e36a", "#ff9a91", "#b9aeff", "#f0c060", "#7fdcf0", "#c9c4c0"];

  const is_dark = () =>
    document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colour = (run) => (is_dark() ? dark : light)[run.number % light.length];
  const short = (value) => (typeof value === "number" ? Number(value.toPrecision(6)).toString() : String(value));

  // What is set stands in the address, so that a link shows the same.
  function settings() {
    const form = new FormData(controls);
    return {
      smooth: Math.min(0.99, Math.max(0, Number(form.get("smooth")) || 0)),
      log: form.has("log"),
      x: form.get("x"),
      find: (form.get("find") || "").toLowerCase(),
    };
  }

  function from_address() {
    const query = new URLSearchParams(location.search);
    for (const name of ["smooth", "x", "find"]) {
      if (query.has(name)) controls.elements[name].value = query.get(name);
    }
    controls.elements.log.checked = query.has("log");
  }

  function to_address() {
    const query = new URLSearchParams(location.search);
    const now = settings();
    for (const [name, value, usual] of [["smooth", now.smooth, 0], ["x", now.x, "step"], ["find", now.find, ""]]) {
      if (value === usual) query.delete(name);
      else query.set(name, value);
    }
    if (now.log) query.set("log", "1");
    else query.delete("log");
    const text = query.toString();
    history.replaceState(null, "", location.pathname + (text ? `?${text}` : ""));
  }

  async function load(run) {
    const answer = await fetch(run.place, { headers: { accept: "application/json" } });
    if (!answer.ok) throw new Error(`The metrics could not be read (${answer.status}).`);
    run.found = (await answer.json()).series;
  }

  // As TensorBoard smooths: an exponential average, corrected for its beginning.
  function smoothed(values, weight) {
    let last = 0;
    let count = 0;
    return values.map((value) => {
      if (value === null) return null;
      last = last * weight + (1 - weight) * value;
      count += 1;
      return last / (1 - weight ** count);
    });
  }

  function places(series, x) {
    if (x === "time") return series.time.map((t) => t * 1000);
    if (x === "relative") return series.time.map((t) => t - series.time[0]);
    return series.index.map((index, i) => (series.step ? (series.step[i] ?? index) : index));
  }

  function lines(name, now) {
    const found = [];
    for (const run of runs) {
      const series = run.found[name];
      if (!series) continue;
      const usable = (v) => typeof v === "number" && Number.isFinite(v) && !(now.log && v <= 0);
      const values = series.value.map((v) => (usable(v) ? v : null));
      const at = places(series, now.x);
      const points = (ys) => ys.map((y, i) => [at[i], y]);
      const style = { color: colour(run), width: 2 };
      const common = { type: "line", showSymbol: values.length < 2, symbolSize: 6, animation: false, itemStyle: { color: style.color } };
      if (now.smooth) {
        found.push({ ...common, name: run.label, data: points(values), lineStyle: { ...style, width: 1, opacity: 0.28 }, silent: true, tooltip: { show: false }, z: 1 });
        found.push({ ...common, name: run.label, data: points(smoothed(values, now.smooth)), lineStyle: style, z: 2 });
      } else found.push({ ...common, name: run.label, data: points(values), lineStyle: style });
    }
    return found;
  }

  function options(name, now) {
    const text = token("--soft");
    const line = token("--line");
    const axis = { axisLine: { lineStyle: { color: line } }, axisLabel: { color: text, hideOverlap: true }, splitLine: { lineStyle: { color: line } } };
    return {
      animation: false,
      grid: { left: 8, right: 14, top: 12, bottom: 4, containLabel: true },
      xAxis: { ...axis, type: now.x === "time" ? "time" : "value", min: "dataMin", max: "dataMax", splitLine: { show: false }, axisLabel: { ...axis.axisLabel, showMaxLabel: false, formatter: now.x === "relative" ? (s) => `${short(s)} s` : undefined } },
      yAxis: { ...axis, type: now.log ? "log" : "value", scale: true },
      tooltip: {
        trigger: "axis", renderMode: "richText", confine: true, backgroundColor: token("--card"), borderColor: line, textStyle: { color: token("--text"), fontSize: 12 },
        axisPointer: { lineStyle: { color: text } },
        valueFormatter: (value) => (value === null || value === undefined ? "none" : short(value)),
      },
      series: lines(name, now),
    };
  }

  function summary(name) {
    return runs
      .filter((run) => run.found[name])
      .map((run) => {
        const { last, min, max, count } = run.found[name];
        const label = runs.length > 1 ? `${run.label}: ` : "";
        return `${label}last ${short(last)}, min ${short(min)}, max ${short(max)}, ${count} values`;
      });
  }

  function make_card(name) {
    const element = document.createElement("section");
    element.className = "card chart";
    const head = document.createElement("div");
    head.className = "bar";
    const title = document.createElement("h3");
    title.textContent = name;
    const wide = document.createElement("button");
    wide.type = "button";
    wide.className = "quiet";
    wide.textContent = "⤢";
    wide.title = "Wide";
    wide.setAttribute("aria-label", `Show ${name} wide`);
    head.append(title, wide);
    const holder = document.createElement("div");
    holder.className = "holder";
    holder.setAttribute("role", "img");
    const said = document.createElement("p");
    said.className = "muted small";
    element.append(head, holder, said);
    const card = { name, element, holder, said, chart: null };
    wide.addEventListener("click", () => {
      element.classList.toggle("wide");
      card.chart?.resize();
    });
    return card;
  }

  // Only what can be seen is drawn: there may be hundreds.
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const card = cards.get(entry.target.dataset.metric);
      if (!card) continue;
      card.visible = entry.isIntersecting;
      if (card.visible) draw(card);
    }
  }, { rootMargin: "200px" });

  function draw(card) {
    if (!card.chart) card.chart = echarts.init(card.holder);
    card.chart.setOption(options(card.name, settings()), true);
    card.stale = false;
  }

  function show() {
    const now = settings();
    const names = [...new Set(runs.flatMap((run) => Object.keys(run.found)))].filter((n) => n.toLowerCase().includes(now.find));
    for (const [name, card] of cards) {
      if (names.includes(name)) continue;
      card.chart?.dispose();
      card.element.remove();
      seen.unobserve(card.element);
      cards.delete(name);
    }
    for (const name of names) {
      let card = cards.get(name);
      if (!card) {
        card = make_card(name);
        card.element.dataset.metric = name;
        cards.set(name, card);
      }
      grid.append(card.element);
      const said = summary(name);
      card.said.textContent = said.length === 1 ? said[0] : "";
      card.holder.setAttribute("aria-label", `${name}: ${said.join("; ")}`);
      if (card.visible) draw(card);
      else seen.observe(card.element);
    }
    document.getElementById("no-charts").hidden = names.length > 0;
  }

  // Where the page says which colour is which run's.
  function paint() {
    for (const swatch of document.querySelectorAll("[data-swatch]")) {
      swatch.style.background = colour(runs[swatch.dataset.swatch]);
    }
  }

  let asked = 0;
  let pause = 1000; // longer for what takes long to read
  async function refresh(all) {
    const mine = ++asked;
    const began = performance.now();
    try {
      await Promise.all(runs.filter((run) => all || run.live).map(load));
    } catch (error) {
      document.getElementById("chart-state").textContent = error.message;
      return;
    }
    pause = Math.max(1000, 5 * (performance.now() - began));
    document.getElementById("chart-state").textContent = "";
    if (mine === asked) show();
  }

  let waiting = null;
  const soon = () => {
    if (!runs.some((run) => run.live) || waiting) return;
    waiting = setTimeout(() => {
      waiting = null;
      refresh(false);
    }, pause);
  };

  from_address();
  paint();
  controls.addEventListener("input", () => {
    to_address();
    show();
  });
  controls.addEventListener("submit", (event) => event.preventDefault());
  for (const kind of ["live:run", "live:runs"]) document.body.addEventListener(kind, soon);
  const repaint = () => {
    paint();
    show();
  };
  document.body.addEventListener("htmx:afterSettle", paint);
  addEventListener("theme", repaint);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  let sized = null;
  addEventListener("resize", () => {
    clearTimeout(sized);
    sized = setTimeout(() => cards.forEach((card) => card.chart?.resize()), 100);
  });
  refresh(true);
})();
