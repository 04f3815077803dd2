// Hints that something changed, as events of the body: "live:runs", "live:compute"; of the run
// that the page is of (data-run) also "live:run" and "live:log".
// Elements ask again by themselves: hx-trigger="live:runs from:body".
// The stream is closed while the page is hidden: browsers allow six connections to one host.
"use strict";
(() => {
  const kinds = ["runs", "compute", "events", "run", "log"];
  let source = null;
  let opened = false;

  const tell = (kind) => document.body.dispatchEvent(new CustomEvent(`live:${kind}`));

  function open() {
    if (source || document.hidden) return;
    const run = document.querySelector("[data-run]");
    const query = new URLSearchParams({ seen: document.body.dataset.seen });
    if (run) query.set("run", run.dataset.run);
    source = new EventSource(`/portal/live?${query}`);
    for (const kind of kinds) source.addEventListener(kind, () => tell(kind));
    source.onopen = () => {
      document.getElementById("lost").hidden = true;
      // Whatever happened while nobody listened; before the first time, the service knows.
      if (opened) kinds.forEach(tell);
      opened = true;
    };
    source.onerror = () => {
      document.getElementById("lost").hidden = false;
      if (source && source.readyState === EventSource.CLOSED) {
        close();
        setTimeout(open, 2000);
      }
    };
  }

  function close() {
    if (source) source.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
})();
