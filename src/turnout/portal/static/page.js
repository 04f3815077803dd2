// What every page needs: times in the viewer's zone, copy buttons, keys, the theme's switch.
"use strict";
(() => {
  const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
  const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" });
  const spans = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

  function ago(at) {
    const seconds = Math.round((at - Date.now()) / 1000);
    if (Math.abs(seconds) < 5) return "just now";
    if (Math.abs(seconds) > 7 * 86400) return dateTime.format(at);
    for (const [unit, length] of spans) {
      if (Math.abs(seconds) >= length) return relative.format(Math.trunc(seconds / length), unit);
    }
    return "";
  }

  function lasted(seconds) {
    const s = Math.floor(seconds);
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
  }

  const set = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };

  function refresh() {
    for (const element of document.querySelectorAll("time[datetime]")) {
      const at = new Date(element.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const style = element.dataset.style;
      set(element, style === "relative" ? ago(at) : style === "clock" ? clock.format(at) : dateTime.format(at));
      element.title = dateTime.format(at);
    }
    for (const element of document.querySelectorAll("[data-since]")) {
      set(element, lasted(Math.max(0, (Date.now() - new Date(element.dataset.since)) / 1000)));
    }
  }

  refresh();
  setInterval(refresh, 1000);
  document.body.addEventListener("htmx:afterSettle", refresh);

  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      try {
        await navigator.clipboard.writeText(copy.dataset.copy);
        copy.classList.add("done");
        setTimeout(() => copy.classList.remove("done"), 1200);
      } catch {
        // Not allowed: the text is there to be selected.
      }
    }
    const row = event.target.closest("tr[data-href]");
    if (row && !event.target.closest("a, button, input, label, summary") && !String(getSelection())) {
      location.assign(row.dataset.href);
    }
  });

  // A form says once more what it is about to do.
  document.addEventListener("submit", (event) => {
    const question = event.submitter && event.submitter.dataset.confirm;
    if (question && !confirm(question)) event.preventDefault();
  }, true);

  // "/" goes to the search, "?" to nothing else: fewer keys are remembered better.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    const field = document.querySelector("main [data-key='/']") || document.querySelector("[data-key='/']");
    if (field) {
      event.preventDefault();
      field.focus();
    }
  });

  const theme = document.getElementById("theme");
  if (theme) {
    theme.addEventListener("click", () => {
      const root = document.documentElement;
      const dark = root.dataset.theme
        ? root.dataset.theme === "dark"
        : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      try {
        localStorage.setItem("turnout-theme", root.dataset.theme);
      } catch {
        // It holds for this page only.
      }
      dispatchEvent(new CustomEvent("theme"));
    });
  }
})();
