// k6/metrics
import { metric } from "../metrics.mjs";

export const Counter = metric("counter");
export const Rate = metric("rate");
export const Trend = metric("trend");
