// Chooses files and sends what holds posts. A zip is read where it is: its directory first, then the
// members whose names match, unpacked by the browser. Nothing else of it is read, let alone sent.
const PIECE = 1 << 20, PATIENCE = 60000;
const END = 0x06054b50, END64_PLACE = 0x07064b50, ENTRY = 0x02014b50, LOCAL = 0x04034b50;

const number = (view, at, bytes) => (bytes === 8 ? Number(view.getBigUint64(at, true)) : bytes === 4 ? view.getUint32(at, true) : view.getUint16(at, true));
const view = async (blob) => new DataView(await blob.arrayBuffer());

async function directoryOf(file) {
  const tailAt = Math.max(0, file.size - 65557);
  const tail = await view(file.slice(tailAt));
  for (let at = tail.byteLength - 22; at >= 0; at--) {
    if (number(tail, at, 4) !== END) continue;
    let size = number(tail, at + 12, 4), offset = number(tail, at + 16, 4);
    if (at >= 20 && number(tail, at - 20, 4) === END64_PLACE) {
      const place = number(tail, at - 12, 8);
      const end64 = await view(file.slice(place, place + 56));
      size = number(end64, 40, 8);
      offset = number(end64, 48, 8);
    }
    return view(file.slice(offset, offset + size));
  }
  return null;
}

function entriesOf(directory) {
  const entries = [], text = new TextDecoder();
  for (let at = 0; at + 46 <= directory.byteLength && number(directory, at, 4) === ENTRY; ) {
    const nameLength = number(directory, at + 28, 2), extraLength = number(directory, at + 30, 2);
    const written = text.decode(new Uint8Array(directory.buffer, directory.byteOffset + at + 46, nameLength));
    const name = written.replaceAll("\\", "/"); // as some programs for Windows write it
    const entry = { name, flags: number(directory, at + 8, 2), method: number(directory, at + 10, 2), packed: number(directory, at + 20, 4), size: number(directory, at + 24, 4), offset: number(directory, at + 42, 4) };
    let extra = at + 46 + nameLength;
    const extraEnd = extra + extraLength;
    while (extra + 4 <= extraEnd) {
      const kind = number(directory, extra, 2), length = number(directory, extra + 2, 2);
      if (kind === 1) {
        let value = extra + 4;
        for (const field of ["size", "packed", "offset"]) {
          if (entry[field] === 0xffffffff) {
            entry[field] = number(directory, value, 8);
            value += 8;
          }
        }
      }
      extra += 4 + length;
    }
    entries.push(entry);
    at = extraEnd + number(directory, at + 32, 2);
  }
  return entries;
}

// An error whose sentence is for the user; any other one means that the file is damaged.
class Told extends Error {}

async function contentOf(file, entry) {
  const local = await view(file.slice(entry.offset, entry.offset + 30));
  if (number(local, 0, 4) !== LOCAL) throw new Error("damaged");
  const start = entry.offset + 30 + number(local, 26, 2) + number(local, 28, 2);
  const packed = file.slice(start, start + entry.packed);
  if (entry.method === 0) return packed.stream();
  if (entry.method !== 8) throw new Told(`${entry.name} is packed in a way that browsers cannot read. Unpack the zip yourself and choose this file.`);
  if (typeof DecompressionStream === "undefined") throw new Told(`This browser cannot open a zip. Unpack it yourself and choose ${entry.name} in it.`);
  return packed.stream().pipeThrough(new DecompressionStream("deflate-raw"));
}

function render({ model, el }) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  const line = document.createElement("span");
  const cancel = document.createElement("button");
  label.className = "ht-drop";
  input.type = "file";
  input.multiple = true;
  input.setAttribute("aria-label", "Choose files of posts");
  line.setAttribute("role", "status");
  cancel.type = "button";
  cancel.textContent = "Cancel";
  cancel.className = "ht-copy";
  cancel.hidden = true;
  const RESTING = "Choose files, or drop them here. Of an archive only your posts are sent; your messages and media never leave your computer.";
  line.textContent = RESTING;
  label.append(input, line);
  el.append(label, cancel);

  let waiting = null, cancelled = false;
  const busy = (is) => {
    input.disabled = is || model.get("disabled");
    cancel.hidden = !is;
    label.classList.toggle("ht-busy", is);
  };
  model.on("change:disabled", () => busy(!cancel.hidden));
  model.on("msg:custom", (message) => {
    const { resolve, reject, timer } = waiting ?? {};
    waiting = null;
    clearTimeout(timer); // it holds on to what was sent
    if (message.type === "taken") resolve?.();
    else reject?.(new Told("refused"));
  });
  const send = (content, buffers = []) =>
    new Promise((resolve, reject) => {
      const lost = () => reject(new Told("The page has lost its program. Reload it, and choose the file again."));
      waiting = { resolve, reject, timer: setTimeout(lost, PATIENCE) };
      model.send(content, undefined, buffers);
    });

  async function sendStream(stream, content, total, done) {
    const reader = stream.getReader();
    let pieces = [], held = 0, at = 0;
    const flush = async () => {
      const piece = new Uint8Array(held);
      let place = 0;
      for (const part of pieces) {
        piece.set(part, place);
        place += part.byteLength;
      }
      pieces = [];
      held = 0;
      await send({ type: "piece", ...content, at }, [piece.buffer]);
      at += piece.byteLength;
      line.textContent = `Sending ${content.member ?? content.file}: ${((done + at) / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB`;
    };
    for (;;) {
      const { done: ended, value } = await reader.read();
      if (cancelled) throw new Told("cancelled");
      if (ended) break;
      pieces.push(value);
      held += value.byteLength;
      if (held >= PIECE) await flush();
    }
    if (held || !at) await flush();
    return at;
  }

  async function sendAll(files) {
    const members = model.get("members").map((pattern) => new RegExp(`^(?:${pattern})$`));
    await send({ type: "begin" });
    let sent = 0;
    for (const file of files) {
      if (!/\.zip$/i.test(file.name)) {
        sent += await sendStream(file.stream(), { file: file.name }, sent + file.size, sent);
        continue;
      }
      const directory = await directoryOf(file);
      if (!directory) throw new Error(`${file.name} is not a whole zip file; the download may have broken off. Download it again.`);
      const wanted = entriesOf(directory).filter((entry) => members.some((member) => member.test(entry.name)));
      if (!wanted.length) throw new Error(`${file.name} holds no posts: an X archive has a file data/tweets.js, one of Mastodon an outbox.json. Was another download meant?`);
      if (wanted.some((entry) => entry.flags & 1)) throw new Error(`${file.name} is locked with a password. Unpack it yourself and choose data/tweets.js in it.`);
      const total = sent + wanted.reduce((sum, entry) => sum + entry.size, 0);
      for (const entry of wanted) {
        try {
          sent += await sendStream(await contentOf(file, entry), { file: file.name, member: entry.name }, total, sent);
        } catch (error) {
          if (error instanceof Told) throw error;
          throw new Error(`${entry.name} in ${file.name} is damaged. Download the archive again.`);
        }
      }
    }
    await send({ type: "done" });
    return sent;
  }

  async function take(files) {
    if (!files.length || input.disabled) return;
    cancelled = false;
    busy(true);
    line.textContent = "Looking for posts…";
    try {
      const sent = await sendAll(files);
      line.textContent = `Sent ${Math.ceil(sent / 1000).toLocaleString("en")} KB of posts. ${RESTING}`;
    } catch (error) {
      line.textContent = RESTING;
      if (error.message === "cancelled") {
        line.textContent = `Cancelled. ${RESTING}`;
        model.send({ type: "cancelled" });
      } else if (error.message !== "refused") {
        line.textContent = error.message;
        send({ type: "problem", sentence: error.message }).catch(() => {});
      }
    }
    input.value = "";
    busy(false);
  }

  cancel.addEventListener("click", () => {
    cancelled = true;
    waiting?.reject(new Told("cancelled"));
  });
  input.addEventListener("change", () => take([...input.files]));
  label.addEventListener("dragover", (event) => event.preventDefault());
  label.addEventListener("drop", (event) => {
    event.preventDefault();
    take([...event.dataTransfer.files]);
  });
  busy(false);
}

export default { render };
