/// From a table and a wish to a picture of the kind that fits it.
module Tva.Dsl.Pictures.Chart

open Tva.Dsl
open Tva.Dsl.Typing

/// A square table of names against themselves, or columns that are numbers, is a map; values without a label are curves; the rest are bars.
let private fitting (table: ResultTable) =
    let labels = table.Rows |> List.map fst
    let unlabelled = labels |> List.forall ((=) "")
    if table.Columns.Length > 1 && (labels = table.Columns || table.Columns |> List.forall (Figures.number >> Option.isSome)) then "heat"
    elif unlabelled && table.Columns.Length > 1 then "lines"
    else "bars"

/// The kind that a wish comes to for this table.
let kindOf (wish: string) (table: ResultTable) = if wish = "auto" then fitting table else wish

let private draw (options: PlotOptions) (table: ResultTable) (mark: ResultTable option) : Frame.Drawing =
    match kindOf options.Kind table with
    | "heat" -> HeatMap.draw options.Title options.Axes options.Note table mark
    | "lines" -> Lines.draw options.Title options.Note table
    | _ -> Bars.draw options.Title options.Note table None

/// The text of an SVG file.
let svg options table mark = Markup.text (Frame.svg "plot" true (draw options table mark)) + "\n"
