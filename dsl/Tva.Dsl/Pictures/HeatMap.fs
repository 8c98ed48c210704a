/// From a table to a map of cells: a number in each, its size as colour, what is below zero hatched, what is marked outlined.
module Tva.Dsl.Pictures.HeatMap

open System
open Tva.Dsl
open Tva.Dsl.Pictures.Frame
open Tva.Dsl.Pictures.Markup

/// With more columns than this cells are too narrow for numbers.
let private mostNumbers = 48

/// What has full colour: 1 for shares and cosines, else the largest.
let limit (table: ResultTable) =
    let largest = table.Rows |> Seq.collect snd |> Seq.filter Double.IsFinite |> Seq.map abs |> Seq.append [ 0.0 ] |> Seq.max
    if largest > 0.25 && largest <= 1.0 + 1e-9 then 1.0 elif largest = 0.0 then 1.0 else largest

/// `corner` says what rows and columns are; `mark` has the same rows and columns, and what is not zero there is outlined here.
let draw (title: string) (corner: string) (note: string) (table: ResultTable) (mark: ResultTable option) : Drawing =
    let columns = table.Columns.Length
    let full = limit table
    let most = 28
    let labels = table.Rows |> List.map (fst >> Figures.cut most)
    let left = 16.0 + (Figures.cut most corner :: labels |> List.map (Figures.width 11.0) |> List.max)
    let numbered = columns <= mostNumbers
    let w = if not numbered then 10.0 elif columns > 24 then 30.0 else 36.0
    let h = if numbered then 22.0 else 10.0
    let titles = table.Columns |> List.map (Figures.cut most)
    let widest = titles |> List.map (Figures.width 11.0) |> List.max
    let upright = widest > w - 4.0
    let top = 40.0 + (if upright then widest + 6.0 else 18.0)
    let columnTitle j (shown: string) (whole: string) =
        let x = left + w * (float j + 0.5)
        let inside = if shown = whole then [ Words shown ] else [ labelled "title" [] whole; Words shown ]
        if upright then
            let y = top - 6.0
            Element("text", [ "transform", $"translate({length (x + 4.0)} {length y}) rotate(-90)"; attr "font-size" 11.0; "class", "soft" ], inside)
        else
            Element("text", [ attr "x" x; attr "y" (top - 6.0); attr "font-size" 11.0; "class", "soft"; "text-anchor", "middle" ], inside)
    let isMarked i j =
        match mark with
        | Some m -> (let v = (snd m.Rows[i])[j] in v <> 0.0 && not (Double.IsNaN v))
        | None -> false
    let cell i (row: string) j (v: float) =
        let x, y = left + w * float j, top + h * float i
        let strength = if Double.IsFinite v then min 1.0 (abs v / full) elif Double.IsNaN v then 0.0 else 1.0
        let marked = isMarked i j
        let words = $"{row}, {table.Columns[j]}: {Figures.exact v}" + (if marked then ", outlined" else "")
        [ rect x y w h (if v < 0.0 then "less" else "more") [ "fill-opacity", length strength ] [ labelled "title" [] words ]
          if v < 0.0 && strength >= 0.005 then
              hatch x y w h
          if numbered then
              labelled "text" [ attr "x" (x + w / 2.0); attr "y" (y + h / 2.0 + 3.5); "class", (if w < 34.0 then "w" else "v") ] (Figures.short v)
          if marked then
              rect (x + 1.2) (y + 1.2) (w - 2.4) (h - 2.4) "mark" [] [] ]
    let rows =
        table.Rows |> List.mapi (fun i (row, values) ->
            Element(
                "g",
                [],
                [ name (left - 8.0) (top + h * (float i + 0.5) + 4.0) 11.0 "soft" "end" most row
                  yield! values |> List.mapi (cell i row) |> List.concat
                  rect left (top + h * float i) (w * float columns) h "edge" [] [] ]
            ))
    let values = table.Rows |> List.collect snd |> List.filter Double.IsFinite
    let ends = if values.IsEmpty then "no finite number" else $"from {Figures.exact (List.min values)} to {Figures.exact (List.max values)}"
    let key =
        [ $"full colour is {Figures.short full}"
          if values |> List.exists (fun v -> v < 0.0) then
              "hatched is below zero"
          if mark.IsSome && note <> "" then
              $"outlined: {note}" ]
    let bottom = top + h * float table.Rows.Length
    let summary = table.Summary |> List.map (fun (name, v) -> $"{name} {Figures.exact v}")
    let foot = String.Join("; ", key @ summary)
    let outlined = table.Rows |> List.mapi (fun i (_, vs) -> vs |> List.mapi (fun j _ -> if isMarked i j then 1 else 0)) |> List.sumBy List.sum
    let about = if mark.IsSome then $", {outlined} outlined" else ""
    { Title = title
      Description = $"Heat map of {table.Rows.Length} rows by {columns} columns, {ends}{about}."
      Width = max (left + w * float columns + 16.0) (max (Figures.titleWidth title) (Figures.width 10.0 foot) + 28.0)
      Height = bottom + 30.0
      Marks =
        [ if corner <> "" then
              name (left - 8.0) (top - 6.0) 11.0 "soft" "end" most corner
          yield! List.map3 columnTitle [ 0 .. columns - 1 ] titles table.Columns
          yield! rows
          label 12.0 (bottom + 18.0) 10.0 "soft" "start" foot ] }
