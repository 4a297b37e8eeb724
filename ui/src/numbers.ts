// Numbers in the viewer's own way of writing. The pages write 1,234.56.
const parts = new Intl.NumberFormat(undefined).formatToParts(1234567.8);
const group = parts.find((part) => part.type === "group")?.value ?? ",";
const decimal = parts.find((part) => part.type === "decimal")?.value ?? ".";
const inThrees = parts.filter((part) => part.type === "integer").map((part) => part.value.length).join() === "1,3,3";

/** Rewrites every number below `root` that the page marked. Digits are never changed, so nothing is rounded. */
export function localise(root: ParentNode): void {
  if (!inThrees || (group === "," && decimal === ".")) return;
  for (const element of root.querySelectorAll<HTMLElement>("[data-amount]")) {
    element.textContent = swap(element.textContent ?? "");
    element.removeAttribute("data-amount");
  }
}

function swap(text: string): string {
  return text.replace(/[.,]/g, (mark) => (mark === "," ? group : decimal));
}

export type Unit = "money" | "count" | "ratio";

/** A value of a chart in full: minor units with the currency's decimals, things, or thousandths of a percent. */
export function full(value: number, unit: Unit, exponent: number, currency: string): string {
  if (unit === "ratio") return new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 }).format(value / 1e5);
  if (unit === "count") return new Intl.NumberFormat().format(value);
  const digits = { minimumFractionDigits: exponent, maximumFractionDigits: exponent };
  return `${new Intl.NumberFormat(undefined, digits).format(value / 10 ** exponent)} ${currency}`;
}

/** The same, short enough for an axis. */
export function short(value: number, unit: Unit, exponent: number): string {
  if (unit === "ratio") return new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 0 }).format(value / 1e5);
  const whole = unit === "money" ? value / 10 ** exponent : value;
  return new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 }).format(whole);
}
