// Formulas are set after the widgets stand: setting all of a lesson's takes a second, in which
// nothing else could move. This runs before MathJax, which then asks when the page is ready.
(() => {
  "use strict";
  const LATEST = 3000; // ms; a widget that hangs must not hold up the formulas

  const parsed = new Promise((done) => {
    if (document.readyState === "complete") done();
    else document.addEventListener("DOMContentLoaded", done, { once: true });
  });
  const late = new Promise((done) => setTimeout(done, LATEST));

  window.MathJax = window.MathJax || {};
  window.MathJax.startup = {
    // static_host.js, which has run by then, says when its widgets are drawn
    pageReady: async () => {
      await Promise.race([parsed.then(() => window.mmWidgets), late]);
      return window.MathJax.startup.defaultPageReady();
    },
  };
})();
