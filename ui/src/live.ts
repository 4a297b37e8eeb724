// Live progress: server-sent events, and reading the page again where they do not arrive.
import { localise } from "./numbers";

const POLL = 5000;

export function startLive(): void {
  const target = document.querySelector<HTMLElement>("[data-live]");
  const address = target?.dataset["live"];
  if (!target || !address) return;
  const source = new EventSource(address);
  source.addEventListener("tables", (event) => show(target, event.data));
  source.addEventListener("rest", (event) => {
    show(target, event.data);
    source.close();
    void reread();
  });
  source.addEventListener("error", () => {
    // The browser tries again by itself unless it was refused.
    if (source.readyState === EventSource.CLOSED) poll();
  });
}

/** The server escaped every word of it; the security policy lets no script of it run. */
function show(target: HTMLElement, html: string): void {
  const left = target.querySelector(".scroll")?.scrollLeft ?? 0;
  keepingOpen(target, () => (target.innerHTML = html));
  localise(target);
  target.querySelector(".scroll")?.scrollTo({ left });
}

/** What somebody opened stays open. */
function keepingOpen(target: Element, change: () => void): void {
  const open = [...target.querySelectorAll("details[open][id]")].map((details) => details.id);
  change();
  for (const id of open) target.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
}

function poll(): void {
  setTimeout(() => void reread().then((running) => running && poll(), poll), POLL);
}

/** Shows the page as it is now; says whether an update still runs. */
async function reread(): Promise<boolean> {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok || answer.redirected) {
    location.reload();
    return false;
  }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const [present, next] = [document.querySelector("main"), fresh.querySelector("main")];
  if (!present || !next) return false;
  const focused = document.activeElement?.getAttribute("href");
  keepingOpen(present, () => present.replaceChildren(...next.childNodes));
  localise(present);
  if (focused) present.querySelector<HTMLElement>(`a[href="${CSS.escape(focused)}"]`)?.focus();
  return next.querySelector("[data-live]") !== null || present.querySelector("[data-live]") !== null;
}
