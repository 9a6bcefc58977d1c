// Keeps a visitor's token in the browser, so that a reload finds the same folder again.
const NAME = "huggingtweets-visitor";

function kept(proposed) {
  try {
    const token = localStorage.getItem(NAME);
    if (/^[0-9a-f]{32}$/.test(token ?? "")) return token;
    localStorage.setItem(NAME, proposed);
  } catch {
    // A browser that keeps nothing gets a folder for this page alone.
  }
  return proposed;
}

export default {
  render({ model, el }) {
    el.style.display = "none";
    model.set("token", kept(model.get("proposed")));
    model.save_changes();
  },
};
