// The bank's page has been answered inside a frame: tell the page around it.
(function () {
  "use strict";
  const done = document.getElementById("done");
  if (done && window.parent !== window) {
    window.parent.postMessage({ type: "3ds-done", intent: done.dataset.intent }, "*");
  }
})();
