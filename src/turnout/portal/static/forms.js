// A key file's content goes into its field: the file itself is not sent.
"use strict";
(() => {
  const show = () => document.querySelectorAll(".fill[hidden]").forEach((label) => (label.hidden = false));
  document.addEventListener("change", async (event) => {
    const file = event.target.closest("input[data-fills]");
    if (!file || !file.files.length) return;
    const field = document.getElementById(file.dataset.fills);
    field.value = await file.files[0].text();
    file.value = "";
    field.focus();
  });
  document.body.addEventListener("htmx:afterSettle", show);
  show();
})();
