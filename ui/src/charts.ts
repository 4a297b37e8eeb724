// Charts are drawn from the tables below them, so that both always say the same.
import { BarChart, LineChart } from "echarts/charts";
import { GridComponent, TooltipComponent } from "echarts/components";
import { init, use, type EChartsType } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { full, short, type Unit } from "./numbers";

use([BarChart, LineChart, GridComponent, TooltipComponent, CanvasRenderer]);

/** Series colours in the styles. */
const COLOURS = 6;

interface Series {
  readonly name: string;
  readonly currency: string;
  readonly exponent: number;
  readonly values: readonly (number | null)[];
}

/** Only parts of one whole are stacked: any other bars would show a sum that means nothing. */
type Shape = "stacked" | "bars" | "lines";

interface Data {
  readonly title: string;
  readonly unit: Unit;
  readonly shape: Shape;
  readonly labels: readonly string[];
  readonly incomplete: readonly boolean[];
  readonly series: readonly Series[];
}

/** Series of one kind keep their colour, whatever is shown beside them. */
interface Drawn extends Series {
  readonly colour: number;
}

export function startCharts(): void {
  for (const plot of document.querySelectorAll<HTMLElement>("[data-chart]")) {
    const data = read(plot);
    if (data) draw(plot, data);
  }
}

function read(plot: HTMLElement): Data | undefined {
  const table = document.getElementById(plot.dataset["chart"] ?? "");
  const rows = [...(table?.querySelectorAll<HTMLTableRowElement>("tbody tr") ?? [])];
  const heads = [...(table?.querySelectorAll<HTMLElement>("thead th[data-name]") ?? [])];
  if (rows.length === 0 || heads.length === 0) return undefined;
  const label = (row: HTMLTableRowElement): string => row.querySelector("th")?.firstChild?.textContent?.trim() ?? "";
  const series = heads.map((head, column) => ({
    name: head.dataset["name"] ?? "",
    currency: head.dataset["currency"] ?? "",
    exponent: Number(head.dataset["exponent"] ?? 0),
    values: rows.map((row) => value(row.querySelectorAll("td")[column])),
  }));
  const shape = (plot.dataset["shape"] ?? "bars") as Shape;
  return {
    title: plot.dataset["title"] ?? "",
    unit: (plot.dataset["unit"] ?? "count") as Unit,
    shape,
    labels: rows.map(label),
    incomplete: rows.map((row) => row.hasAttribute("data-incomplete")),
    series: shape === "stacked" ? folded(series) : series,
  };
}

/** Of more kinds than there are colours, the largest stay and the rest becomes one; the table has them all. */
function folded(series: readonly Series[]): Series[] {
  const currencies = [...new Set(series.map((one) => one.currency))];
  return currencies.flatMap((currency) => {
    const total = (one: Series): number => one.values.reduce<number>((sum, number) => sum + (number ?? 0), 0);
    const own = series.filter((one) => one.currency === currency);
    if (own.length <= COLOURS) return own;
    const sorted = [...own].sort((one, other) => total(other) - total(one));
    const rest = sorted.slice(COLOURS - 1);
    const values = rest[0]?.values.map((_, index) => rest.reduce((sum, one) => sum + (one.values[index] ?? 0), 0)) ?? [];
    const other = { name: `${rest.length} others`, currency, exponent: own[0]?.exponent ?? 0, values };
    return [...sorted.slice(0, COLOURS - 1), other];
  });
}

function value(cell: HTMLElement | undefined): number | null {
  const text = cell?.dataset["value"] ?? "";
  return text === "" ? null : Number(text);
}

function draw(plot: HTMLElement, data: Data): void {
  const currencies = [...new Set(data.series.map((series) => series.currency))];
  const names = [...new Set(data.series.map((series) => series.name))];
  const hidden = new Set<string>();
  let currency = currencies[0] ?? "";
  let at = -1;

  const controls = element("div", "controls");
  const canvas = element("div", "canvas");
  const said = element("p", "hidden");
  said.setAttribute("aria-live", "polite");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  plot.replaceChildren(controls, canvas, said);
  const chart = init(canvas, undefined, { renderer: "canvas" });

  const shown = (): Drawn[] =>
    data.series
      .filter((series) => series.currency === currency && !hidden.has(series.name))
      .map((series) => ({ ...series, colour: names.indexOf(series.name) }));
  const refresh = (): void => {
    chart.setOption(option(data, shown()), { notMerge: true });
    canvas.setAttribute("aria-label", `${summary(data, shown())} Arrow keys read it point by point; the table below holds every number.`);
  };

  if (currencies.length > 1) controls.append(choice("Currency", currencies, (chosen) => {
    currency = chosen;
    refresh();
  }));
  if (names.length > 1) controls.append(legend(names, (name, on) => {
    if (on) hidden.delete(name);
    else hidden.add(name);
    refresh();
  }));
  canvas.addEventListener("keydown", (event) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    at = Math.max(0, Math.min(data.labels.length - 1, at + step));
    chart.dispatchAction({ type: "showTip", seriesIndex: 0, dataIndex: at });
    said.textContent = point(data, shown(), at);
  });
  canvas.addEventListener("blur", () => chart.dispatchAction({ type: "hideTip" }));
  follow(chart, canvas, refresh);
  refresh();
}

/** Redraws when the place, the colour scheme or the paper changes. */
function follow(chart: EChartsType, canvas: HTMLElement, refresh: () => void): void {
  new ResizeObserver(() => chart.resize()).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  matchMedia("print").addEventListener("change", refresh);
}

function option(data: Data, series: readonly Drawn[]): Record<string, unknown> {
  const colour = colours();
  const exponent = series[0]?.exponent ?? 0;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const text = { color: colour("--quiet"), fontFamily: "Inter Variable, sans-serif", fontSize: 12 };
  return {
    animation: !still,
    animationDuration: 120,
    animationDurationUpdate: 120,
    textStyle: text,
    grid: { left: 4, right: 8, top: 12, bottom: 4, containLabel: true },
    tooltip: {
      trigger: "axis",
      // Drawn on the canvas: the security policy lets no style into the page.
      renderMode: "richText",
      confine: true,
      transitionDuration: 0,
      backgroundColor: colour("--raised"),
      borderColor: colour("--line-strong"),
      textStyle: { ...text, color: colour("--text") },
      formatter: (points: readonly { dataIndex: number }[]) => point(data, series, points[0]?.dataIndex ?? 0, "\n"),
    },
    xAxis: {
      type: "category",
      data: data.labels,
      axisTick: { show: false },
      axisLine: { lineStyle: { color: colour("--line-strong") } },
      axisLabel: { ...text, hideOverlap: true },
    },
    yAxis: {
      type: "value",
      min: data.unit === "ratio" && data.shape === "lines" ? low(series) : undefined,
      max: data.unit === "ratio" ? 1e5 : undefined,
      minInterval: data.unit === "count" ? 1 : undefined,
      splitNumber: 4,
      splitLine: { lineStyle: { color: colour("--line") } },
      axisLabel: { ...text, formatter: (number: number) => short(number, data.unit, exponent) },
    },
    series: series.map((one) => styled(data, one, colour(`--series-${(one.colour % COLOURS) + 1}`), colour("--card"))),
  };
}

function styled(data: Data, series: Drawn, colour: string, paper: string): object {
  const open = { color: paper, borderColor: colour, borderWidth: 1.5, borderType: "dashed" };
  const values = series.values.map((number, index) =>
    data.incomplete[index] ? { value: number, itemStyle: data.shape === "lines" ? { ...open, borderType: "solid" } : open } : number,
  );
  const common = { name: series.name, data: values, color: colour };
  const stack = data.shape === "stacked" ? "all" : undefined;
  if (data.shape !== "lines") return { ...common, type: "bar", stack, barMaxWidth: 28, barCategoryGap: "32%" };
  return { ...common, type: "line", symbol: "circle", symbolSize: 6, lineStyle: { width: 2 }, connectNulls: false };
}

/** A ratio's axis begins at the ten percent below its lowest point: it is a line, so no bar lies. */
function low(series: readonly Series[]): number {
  const values = series.flatMap((one) => one.values).filter((number): number is number => number !== null);
  return values.length === 0 ? 0 : Math.max(0, Math.floor(Math.min(...values) / 1e4) * 1e4 - 1e4);
}

function point(data: Data, series: readonly Series[], index: number, between = "; "): string {
  const label = `${data.labels[index] ?? ""}${data.incomplete[index] ? ", so far" : ""}`;
  const numbers = series.map((one) => {
    const number = one.values[index];
    return `${one.name}: ${number === null || number === undefined ? "none" : full(number, data.unit, one.exponent, one.currency)}`;
  });
  return [label, ...numbers].join(between);
}

function summary(data: Data, series: readonly Series[]): string {
  const last = data.labels.length - 1;
  const span = `${data.title}: ${data.labels[0] ?? ""} to ${data.labels[last] ?? ""}.`;
  const newest = point(data, series, last);
  return `${span} Newest, ${newest}.`;
}

function choice(name: string, options: readonly string[], chosen: (option: string) => void): HTMLElement {
  const group = element("div", "choice");
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", name);
  const buttons = options.map((option, index) => {
    const button = pressable(option, index === 0);
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      chosen(option);
    });
    return button;
  });
  group.append(...buttons);
  return group;
}

function legend(names: readonly string[], toggled: (name: string, on: boolean) => void): HTMLElement {
  const group = element("div", "legend");
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", "Series");
  const buttons = names.map((name, index) => {
    const button = pressable(name, true);
    button.classList.add(`series-${(index % COLOURS) + 1}`);
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      toggled(name, on);
    });
    return button;
  });
  group.append(...buttons);
  return group;
}

function pressable(text: string, pressed: boolean): HTMLButtonElement {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.setAttribute("aria-pressed", String(pressed));
  return button;
}

function colours(): (name: string) => string {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(name).trim();
}

function element(tag: string, className: string): HTMLElement {
  const made = document.createElement(tag);
  made.className = className;
  return made;
}
