// The navigation folds to its icons, and stays as it was left.
const KEY = "tallyhouse.folded";

export function startFolding(): void {
  const button = document.querySelector<HTMLButtonElement>("[data-fold]");
  if (!button) return;
  const show = (folded: boolean): void => {
    document.documentElement.classList.toggle("folded", folded);
    button.setAttribute("aria-pressed", String(folded));
    button.title = folded ? "Unfold the navigation" : "Fold the navigation";
  };
  show(remembered());
  button.hidden = false;
  button.addEventListener("click", () => {
    const folded = !document.documentElement.classList.contains("folded");
    show(folded);
    try {
      localStorage.setItem(KEY, String(folded));
    } catch {
      // A browser that keeps nothing shows it unfolded next time.
    }
  });
}

function remembered(): boolean {
  try {
    return localStorage.getItem(KEY) === "true";
  } catch {
    return false;
  }
}
