// Gives sliders their names for screen readers: ipywidgets shows them beside the slider, and says them nowhere.
export default {
  render({ el }) {
    el.style.display = "none";
    const name = () => {
      for (const handle of document.querySelectorAll(".ht-field .noUi-handle:not([aria-label])")) {
        handle.setAttribute("aria-label", handle.closest(".ht-field").querySelector(".widget-label").textContent);
      }
    };
    const observer = new MutationObserver(name);
    observer.observe(document.body, { childList: true, subtree: true });
    name();
    return () => observer.disconnect();
  },
};
