// What a committed dashboard has to be, in terms of Grafana's own types.
//
// Grafana declares panels with options of any kind; here each kind of panel that we use
// has its own. String enums are widened to the texts that stand in JSON.

import type * as grafana from "@grafana/schema";
import type * as stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as table from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as series from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

type Plain<T> = T extends string
  ? `${T}`
  : T extends number | boolean | null | undefined
    ? T
    : T extends (infer Item)[]
      ? Plain<Item>[]
      : T extends object
        ? { [Key in keyof T]: Plain<T[Key]> }
        : T;

interface Target extends grafana.DataQuery {
  expr: string;
  legendFormat: string;
  instant?: boolean;
  range?: boolean;
  format?: "table" | "time_series";
}

type Custom<T> = Omit<grafana.FieldConfig, "custom"> & { custom?: T };

interface Panel<Kind extends string, Options, Field>
  extends Omit<grafana.Panel, "type" | "options" | "fieldConfig" | "targets"> {
  type: Kind;
  title: string;
  description: string;
  gridPos: grafana.GridPos;
  targets: Target[];
  options: Options;
  fieldConfig: { defaults: Custom<Field>; overrides: grafana.FieldConfigSource["overrides"] };
}

type AnyPanel =
  | Panel<"timeseries", series.Options, series.FieldConfig>
  | Panel<"stat", stat.Options, never>
  | Panel<"table", table.Options, never>
  | Omit<grafana.RowPanel, "type"> & { type: "row" };

interface Annotation extends Omit<grafana.AnnotationQuery, "target"> {
  target: Target;
}

interface Page extends Omit<grafana.Dashboard, "panels" | "annotations"> {
  uid: string;
  title: string;
  panels: AnyPanel[];
  annotations: { list: Annotation[] };
}

export type Dashboard = Plain<Page>;
