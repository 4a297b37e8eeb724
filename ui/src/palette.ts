// Ctrl-K finds pages and actions, ? lists the shortcuts.
interface Entry {
  readonly name: string;
  readonly go: () => void;
}

const SHORTCUTS: readonly (readonly [string, string])[] = [
  ["Ctrl K", "Find a page or an action"],
  ["G then H", "Home"],
  ["G then C", "Connections"],
  ["?", "These shortcuts"],
  ["← →", "Read a focused chart point by point"],
  ["Esc", "Close"],
];

export function startPalette(): void {
  let after = "";
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      openPalette();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (event.key === "?") openShortcuts();
    if (after === "g" && event.key === "h") follow('nav a[href="/"]');
    if (after === "g" && event.key === "c") follow('nav a[href="/admin/connections"]');
    after = event.key;
  });
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("input, textarea, select, [contenteditable]") !== null;
}

function follow(selector: string): void {
  document.querySelector<HTMLAnchorElement>(selector)?.click();
}

function openShortcuts(): void {
  const list = make("dl", "keys");
  for (const [key, meaning] of SHORTCUTS) {
    const pair = make("div");
    pair.append(make("dt", "", key), make("dd", "", meaning));
    list.append(pair);
  }
  const dialog = open("Shortcuts");
  dialog?.append(make("h2", "", "Shortcuts"), list, closer());
}

function openPalette(): void {
  const dialog = open("Find a page or an action");
  if (!dialog) return;
  const input = document.createElement("input");
  const list = make("ul", "found");
  input.type = "search";
  input.placeholder = "Find a page or an action";
  input.setAttribute("aria-label", input.placeholder);
  const all = entries();
  const show = (): void => {
    const wanted = input.value.trim().toLowerCase();
    const found = all.filter((entry) => entry.name.toLowerCase().includes(wanted));
    list.replaceChildren(...found.map((entry) => item(entry, dialog)));
    if (found.length === 0) list.append(make("li", "muted", "Nothing found. Try another word."));
  };
  input.addEventListener("input", show);
  dialog.addEventListener("keydown", (event) => {
    const buttons = [input, ...list.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement as HTMLInputElement & HTMLButtonElement);
    if (event.key === "ArrowDown") buttons[Math.min(at + 1, buttons.length - 1)]?.focus();
    else if (event.key === "ArrowUp") buttons[Math.max(at - 1, 0)]?.focus();
    else if (event.key === "Enter" && at === 0) list.querySelector("button")?.click();
    else return;
    event.preventDefault();
  });
  show();
  dialog.append(input, list);
  input.focus();
}

/** Everything this page can lead to: its links and its buttons, each once. */
function entries(): Entry[] {
  const found = new Map<string, Entry>();
  for (const element of document.querySelectorAll<HTMLElement>("header a, header form button, main a, main form button")) {
    const name = (element.getAttribute("aria-label") ?? element.textContent ?? "").replace(/\s+/g, " ").trim();
    const dangerous = element.classList.contains("bad");
    if (name && !dangerous && !found.has(name)) found.set(name, { name, go: () => element.click() });
  }
  return [...found.values()];
}

function item(entry: Entry, dialog: HTMLDialogElement): HTMLElement {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = entry.name;
  button.addEventListener("click", () => {
    dialog.close();
    entry.go();
  });
  const line = make("li");
  line.append(button);
  return line;
}

function open(name: string): HTMLDialogElement | undefined {
  if (document.querySelector("dialog[open]")) return undefined;
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-label", name);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

function closer(): HTMLElement {
  const form = document.createElement("form");
  form.method = "dialog";
  form.append(make("button", "", "Close"));
  return form;
}

function make(tag: string, className = "", text = ""): HTMLElement {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}
