// Makes pages better that work without it.
import { startFolding } from "./fold";
import { localise } from "./numbers";
import { startLive } from "./live";
import { startPalette } from "./palette";

localise(document);
startFolding();
startPalette();
startLive();

if (document.querySelector("[data-chart]")) {
  void import("./charts").then(({ startCharts }) => startCharts());
}
