// The nodes of a cluster over time: busy, idle and changing on top of one another, and the runs
// that waited as a line. Every sample holds until the next.
"use strict";
(() => {
  const holder = document.getElementById("node-chart");
  const state = document.getElementById("node-chart-state");
  if (!holder) return;
  let chart = null;
  let found = null;
  const kinds = [["busy", "busy", "--busy"], ["idle", "idle", "--good"], ["changing", "changing", "--wait"]];
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function points(name, now) {
    const all = found.samples.map((s) => [Date.parse(s.at), s[name]]);
    if (all.length) all.push([now, all[all.length - 1][1]]);
    return all;
  }

  function line(name, label, colour, more, now) {
    return { name: label, type: "line", step: "end", showSymbol: false, animation: false, color: token(colour), data: points(name, now), ...more };
  }

  function options() {
    const now = Date.now();
    const first = found.samples.length ? Date.parse(found.samples[0].at) : now;
    // A young cluster fills the chart too.
    const since = Math.min(Math.max(now - holder.dataset.hours * 3600000, first), now - 300000);
    const soft = token("--soft");
    const rule = token("--line");
    const axis = { axisLine: { lineStyle: { color: rule } }, axisLabel: { color: soft, hideOverlap: true }, splitLine: { lineStyle: { color: rule } } };
    const stacked = kinds.map(([name, label, colour]) => line(name, label, colour, { stack: "nodes", areaStyle: { opacity: 0.55 }, lineStyle: { width: 0 } }, now));
    return {
      animation: false,
      grid: { left: 8, right: 14, top: 34, bottom: 4, containLabel: true },
      legend: { top: 0, left: 0, textStyle: { color: token("--text") }, icon: "roundRect" },
      xAxis: { ...axis, type: "time", min: since, max: now, splitLine: { show: false } },
      yAxis: { ...axis, type: "value", minInterval: 1, min: 0, max: (range) => Math.max(range.max, found.max_nodes, 1) },
      tooltip: {
        trigger: "axis", renderMode: "richText", confine: true, backgroundColor: token("--card"), borderColor: rule,
        textStyle: { color: token("--text"), fontSize: 12 }, axisPointer: { lineStyle: { color: soft } },
      },
      series: [...stacked, line("waiting", "runs waiting", "--bad", { lineStyle: { width: 2, type: "dashed" } }, now)],
    };
  }

  function draw() {
    if (!found) return;
    if (!chart) chart = echarts.init(holder);
    chart.setOption(options(), true);
    const last = found.samples[found.samples.length - 1];
    holder.setAttribute("aria-label", last ? `Nodes over time; now ${kinds.map(([name, label]) => `${last[name]} ${label}`).join(", ")}, ${last.waiting} runs waiting` : "Nodes over time: nothing yet");
  }

  // Much may happen at once: asked again a while later at most.
  const rest = 3000;
  let asked = 0;
  let waiting = null;
  function soon() {
    if (waiting) return;
    waiting = setTimeout(load, Math.max(0, asked + rest - Date.now()));
  }

  async function load() {
    asked = Date.now();
    try {
      const answer = await fetch(holder.dataset.place, { headers: { accept: "application/json" } });
      if (!answer.ok) throw new Error(`The history could not be read (${answer.status}).`);
      found = await answer.json();
      state.textContent = "";
      draw();
    } catch (error) {
      state.textContent = error.message;
    } finally {
      waiting = null;
    }
  }

  load();
  document.body.addEventListener("live:compute", soon);
  document.body.addEventListener("live:runs", soon);
  addEventListener("resize", () => chart?.resize());
  addEventListener("theme", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  // Time goes on while nothing changes.
  setInterval(() => !document.hidden && draw(), 30000);
})();
