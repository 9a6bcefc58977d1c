// Saves a file that comes piece by piece: the next is asked for when one has arrived.
function render({ model, el }) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "ht-copy ht-download";
  el.append(button);
  const size = () => `${(model.get("size") / 1e6).toFixed(0)} MB`;
  const rest = () => (button.textContent = `Download ${model.get("name")} (${size()})`);
  model.on("change:name", rest);
  model.on("change:size", rest);
  rest();
  let pieces = [], at = 0, name = "", whole = 0;
  button.addEventListener("click", () => {
    pieces = [];
    at = 0;
    name = model.get("name");
    whole = model.get("size");
    button.disabled = true;
    model.send({ at });
  });
  model.on("msg:custom", (message, buffers) => {
    const piece = buffers[0];
    if (message.type === "gone" || model.get("name") !== name || model.get("size") !== whole) {
      pieces = [];
      button.disabled = false;
      rest();
      return;
    }
    if (message.at !== at || !piece) return;
    pieces.push(piece);
    at += piece.byteLength;
    if (at < whole) {
      button.textContent = `${(at / 1e6).toFixed(0)} of ${size()}`;
      model.send({ at });
      return;
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(pieces, { type: "application/zip" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    pieces = [];
    button.disabled = false;
    rest();
  });
}

export default { render };
