// One run: its curve and its samples, which go on while it runs.

import { listen } from "../treadle.js";
import { RunChart, Samples } from "./chart.js";

const id = location.pathname.split("/").pop();
const root = document.getElementById("curves");
const chart = root && new RunChart(root);
const samples = new Samples(document.getElementById("samples"));
samples.read([id]).catch(() => {});
listen(["run.progress", "run.evaluation"], (event) => chart?.take(event));
listen("run.sample", (event) => { if (event.run === id) samples.take({ ...event.data, time: event.time }); });
