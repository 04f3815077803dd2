// Before the first paint: the theme that the viewer chose, else the system's.
"use strict";
try {
  const chosen = localStorage.getItem("turnout-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // No storage: the system's theme.
}
