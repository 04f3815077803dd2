// Runs chosen for a comparison stay chosen while the list changes, and over its pages.
"use strict";
(() => {
  const chosen = new Set();
  const button = document.getElementById("compare");
  const most = 10;

  function show() {
    for (const box of document.querySelectorAll("#chosen input[name=run]")) {
      box.checked = chosen.has(box.value);
      box.disabled = !box.checked && chosen.size >= most;
    }
    button.disabled = chosen.size < 2;
    button.textContent = chosen.size ? `Compare ${chosen.size} runs` : "Compare";
    button.title = chosen.size < 2 ? "Choose two runs or more" : "";
  }

  document.addEventListener("change", (event) => {
    const box = event.target.closest("#chosen input[name=run]");
    if (!box) return;
    if (box.checked) chosen.add(box.value);
    else chosen.delete(box.value);
    show();
  });
  document.body.addEventListener("htmx:afterSettle", show);
  // The browser brings back what was chosen before when one comes back to the list.
  addEventListener("pageshow", () => {
    for (const box of document.querySelectorAll("#chosen input[name=run]:checked")) chosen.add(box.value);
    show();
  });
})();
