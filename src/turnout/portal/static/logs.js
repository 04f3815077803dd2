// Shows a log of any length: parts of it, fetched as one scrolls, a bounded number at a time.
// The end is followed by hints ("live:log"); a place in the log is named by its offset in bytes.
"use strict";
(() => {
  const view = document.getElementById("log");
  if (!view) return;
  const part = 128 * 1024;
  const most = 12; // parts on the page
  const follow = document.getElementById("follow");
  const state = document.getElementById("log-state");
  const parts = []; // {start, end, element}, one behind the other
  let size = 0;
  let busy = false;
  let again = false;

  const size_text = (n) => (n < 1000 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toFixed(1)} KB` : `${(n / 1e6).toFixed(1)} MB`);

  async function fetch_part(offset, limit) {
    const query = new URLSearchParams({ name: view.dataset.name, offset, limit });
    const answer = await fetch(`${view.dataset.place}?${query}`);
    if (!answer.ok) throw new Error(`The log could not be read (${answer.status}).`);
    size = Number(answer.headers.get("turnout-size"));
    return new Uint8Array(await answer.arrayBuffer());
  }

  // The same from the first whole line on: where that begins, and the bytes. A line that is longer
  // than a part comes in pieces.
  async function fetch_lines(offset, limit) {
    const bytes = await fetch_part(offset, limit);
    const cut = offset > 0 ? bytes.indexOf(10) + 1 : 0;
    return cut < bytes.length ? [bytes.subarray(cut), offset + cut] : [bytes, offset];
  }

  // Where the last whole line ends; all of it when there is none.
  function line_end(bytes) {
    const end = bytes.lastIndexOf(10);
    return end < 0 ? bytes.length : end + 1;
  }

  // Colours and cursor movements of terminals, and what a carriage return wrote over.
  // eslint-disable-next-line no-control-regex
  const escapes = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*(?:\x07|\x1b\\)|.)/g;
  function plain(line) {
    const text = line.endsWith("\r") ? line.slice(0, -1) : line;
    return text.slice(text.lastIndexOf("\r") + 1).replace(escapes, "");
  }

  function draw(bytes, start) {
    const element = document.createElement("div");
    element.className = "part";
    const lines = new TextDecoder().decode(bytes).split("\n");
    if (lines.at(-1) === "") lines.pop();
    for (const line of lines) {
      const row = document.createElement("div");
      row.className = "line";
      row.textContent = plain(line) || "\u200b";
      element.append(row);
    }
    return { start, end: start + bytes.length, whole: bytes.at(-1) === 10, element };
  }

  function at_bottom() {
    return view.scrollHeight - view.scrollTop - view.clientHeight < 40;
  }

  function tell() {
    if (!size) state.textContent = "data-final" in view.attributes ? "This log is empty." : "Nothing is written yet.";
    else {
      const [first, last] = [parts[0]?.start ?? 0, parts.at(-1)?.end ?? 0];
      const whole = first === 0 && last >= size;
      state.textContent = whole ? size_text(size) : `${size_text(first)} to ${size_text(last)} of ${size_text(size)}`;
    }
  }

  function clear() {
    parts.length = 0;
    view.replaceChildren();
  }

  // Show the part around a byte; the line that begins there is marked.
  async function go(offset) {
    const [bytes, start] = await fetch_lines(Math.max(0, offset - 16 * 1024), part);
    const kept = start + bytes.length < size ? bytes.subarray(0, line_end(bytes)) : bytes;
    clear();
    append(kept, start);
    const line = new TextDecoder().decode(kept.subarray(0, Math.max(0, offset - start))).split("\n").length - 1;
    const row = parts[0].element.children[line];
    if (row) {
      row.classList.add("hit");
      view.scrollTop = row.offsetTop - view.clientHeight / 3;
    }
    tell();
  }

  async function end() {
    await fetch_part(0, 0); // how long it is
    if (!size) return tell();
    const [bytes, start] = await fetch_lines(Math.max(0, size - part), part);
    clear();
    append(bytes, start);
    view.scrollTop = view.scrollHeight;
    tell();
  }

  async function more_below() {
    const last = parts.at(-1);
    const stays = follow.checked || at_bottom();
    const end = last ? last.end : 0;
    // What ended in the middle of a line is drawn anew, with the rest of it.
    const anew = last && !last.whole && last.end - last.start < part;
    const start = anew ? last.start : end;
    const bytes = await fetch_part(start, end - start + part);
    const grown = start + bytes.length > end;
    if (grown) {
      if (anew) parts.pop().element.remove();
      append(start + bytes.length < size ? bytes.subarray(0, line_end(bytes)) : bytes, start);
    }
    if (stays && follow.checked) view.scrollTop = view.scrollHeight;
    tell();
    return grown && parts.at(-1).end < size;
  }

  function append(bytes, start) {
    const found = draw(bytes, start);
    parts.push(found);
    view.append(found.element);
    while (parts.length > most) parts.shift().element.remove();
  }

  async function more_above() {
    const first = parts[0];
    if (!first || first.start === 0) return;
    const before = Math.max(0, first.start - part);
    const found = draw(...(await fetch_lines(before, first.start - before)));
    const height = view.scrollHeight;
    parts.unshift(found);
    view.prepend(found.element);
    view.scrollTop += view.scrollHeight - height;
    while (parts.length > most) parts.pop().element.remove();
    tell();
  }

  // One at a time; what was asked for meanwhile is done once more.
  async function alone(action) {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      await action();
    } catch (error) {
      state.textContent = error.message;
    } finally {
      busy = false;
    }
    if (again) {
      again = false;
      if (follow.checked) alone(grow);
    }
  }

  async function grow() {
    while (await more_below());
  }

  view.addEventListener("scroll", () => {
    if (busy) return;
    if (view.scrollTop < 300 && parts.length && parts[0].start > 0) alone(more_above);
    else if (at_bottom() && parts.length && parts.at(-1).end < size) alone(more_below);
    if (follow.checked && view.scrollHeight - view.scrollTop - view.clientHeight > 200) follow.checked = false;
  });
  follow.addEventListener("change", () => follow.checked && alone(end));
  const wrap = document.getElementById("wrap");
  wrap.addEventListener("change", () => view.classList.toggle("unwrapped", !wrap.checked));
  document.getElementById("log-name").addEventListener("change", (event) => event.target.form.requestSubmit());
  for (const kind of ["live:log", "live:run"]) {
    document.body.addEventListener(kind, () => (follow.checked || !parts.length) && alone(parts.length ? grow : end));
  }
  document.addEventListener("click", (event) => {
    const hit = event.target.closest("#hits a[data-offset]");
    if (!hit) return;
    event.preventDefault();
    follow.checked = false;
    history.replaceState(null, "", hit.href);
    alone(() => go(Number(hit.dataset.offset)));
  });

  const at = Number(view.dataset.at);
  alone(at >= 0 ? () => go(at) : end);
})();
