// Lines in a box: what uPlot needs from us, in the colours of the page.

const LIGHT = ["#0f6b5c", "#c2571a", "#3d5a9e", "#8a3d7a", "#7a6a12", "#2f7fa3", "#a32a22", "#4d7a2a"];
const DARK = ["#63cdb8", "#f0a468", "#8fb0f2", "#dd94cc", "#d6c25a", "#76c4e6", "#f19b93", "#a3d078"];
const dark = matchMedia("(prefers-color-scheme: dark)");

/** A colour for the line of this number, in the theme of the page. */
export function colour(number) {
  const known = dark.matches ? DARK : LIGHT;
  if (number < known.length) return known[number];
  return `hsl(${Math.round(number * 137.508) % 360} 55% ${dark.matches ? 68 : 40}%)`;
}

/** Call `draw` again when the theme of the page changes. */
export const onTheme = (draw) => dark.addEventListener("change", draw);

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
const translucent = (paint, share) => `color-mix(in srgb, ${paint} ${share}%, transparent)`;

/** Draws lines into a box and redraws them in place. */
export class Plot {
  constructor(box, { onSelect = null, onHover = null } = {}) {
    this.box = box;
    this.onSelect = onSelect;
    this.onHover = onHover;
    this.chart = null;
    this.shape = "";
    new ResizeObserver(() => this.chart?.setSize(this.size())).observe(box);
  }

  size() { return { width: Math.max(200, this.box.clientWidth), height: innerWidth < 760 ? 230 : 280 }; }

  /** Lines: `x`, `y`, optionally `low` and `high` (a band), `paint`, `points` (dots only), `digits`. */
  draw(lines, { time = false, log = false, min = null, max = null, format = null } = {}) {
    const tables = lines.map((line) => line.low?.length ? [line.x, line.y, line.low, line.high] : [line.x, line.y]);
    const data = tables.length ? uPlot.join(tables) : [[], []];
    const shape = JSON.stringify([time, log, min, max, dark.matches, lines.map((line) => [line.paint, Boolean(line.points), Boolean(line.low?.length)])]);
    if (this.chart && shape === this.shape) {
      this.chart.setData(data);
      return;
    }
    this.chart?.destroy();
    this.shape = shape;
    this.chart = new uPlot(this.options(lines, { time, log, min, max, format }), data, this.box);
  }

  options(lines, { time, log, min, max, format }) {
    const ink = getComputedStyle(this.box).color, grid = { stroke: translucent(ink, 10), width: 1 };
    const axis = { stroke: translucent(ink, 75), grid, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const series = [{}], bands = [];
    for (const line of lines) {
      series.push({ stroke: line.paint, width: line.points ? 1.2 : 1.8, spanGaps: true, dash: line.points ? [4, 4] : undefined, points: { show: line.points ? true : undefined, size: 6, fill: line.paint } });
      if (line.low?.length) {
        const hidden = { stroke: "transparent", width: 0, spanGaps: true, points: { show: false } };
        series.push(hidden, { ...hidden });
        bands.push({ series: [series.length - 1, series.length - 2], fill: translucent(line.paint, 16) });
      }
    }
    return {
      ...this.size(),
      series, bands,
      legend: { show: false },
      scales: { x: { time }, y: { distr: log ? 3 : 1, range: min === null ? undefined : [min, max] } },
      axes: [{ ...axis, size: 30, values: time ? (_, ticks) => ticks.map(clock) : undefined }, { ...axis, size: 62, values: format ? (_, ticks) => ticks.map((one) => one === null ? "" : format(one)) : undefined }],
      cursor: { y: false, drag: { x: Boolean(this.onSelect), y: false, setScale: false }, points: { show: lines.length < 12, size: 7 }, bind: { dblclick: () => () => { this.onSelect?.(null); return null; } } },
      hooks: {
        setSelect: [(chart) => {
          if (!this.onSelect || chart.select.width < 4) return;
          const { left, width } = chart.select;
          this.onSelect([chart.posToVal(left, "x"), chart.posToVal(left + width, "x")]);
          chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        }],
        setCursor: [(chart) => this.onHover?.(chart.cursor.left < 0 ? null : chart.posToVal(chart.cursor.left, "x"))],
      },
    };
  }
}

/** The value of a line that is nearest to a place. */
export function nearest(line, x) {
  let low = 0, high = line.x.length - 1;
  if (high < 0) return null;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (line.x[middle] < x) low = middle; else high = middle;
  }
  return Math.abs(line.x[low] - x) < Math.abs(line.x[high] - x) ? low : high;
}
