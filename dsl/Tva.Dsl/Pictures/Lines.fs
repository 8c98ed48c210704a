/// From a table to curves over its first column or its rows: told apart by dashes and by the shape of their points.
module Tva.Dsl.Pictures.Lines

open System
open Tva.Dsl
open Tva.Dsl.Pictures.Frame
open Tva.Dsl.Pictures.Markup

let private dashes = [| ""; "7 4"; "2 3"; "9 3 2 3"; "4 2"; "1 4" |]

/// A circle, square, diamond or triangle around a place.
let private point shape x y words =
    let path d = Element("path", [ "d", d; "class", "dot" ], [ labelled "title" [] words ])
    let at = length
    match shape % 4 with
    | 0 -> Element("circle", [ attr "cx" x; attr "cy" y; attr "r" 3.2; "class", "dot" ], [ labelled "title" [] words ])
    | 1 -> rect (x - 3.0) (y - 3.0) 6.0 6.0 "dot" [] [ labelled "title" [] words ]
    | 2 -> path $"M{at x} {at (y - 4.2)}l4.2 4.2l-4.2 4.2l-4.2 -4.2z"
    | _ -> path $"M{at x} {at (y - 4.0)}l3.8 6.8h-7.6z"

/// The places along x, what x is, and the series by name.
let private series (table: ResultTable) =
    let labels = table.Rows |> List.map fst
    let byLabel = labels |> List.map Figures.number
    let column j = table.Rows |> List.map (fun (_, vs) -> vs[j])
    if byLabel |> List.forall Option.isSome then
        byLabel |> List.map Option.get, "", table.Columns |> List.mapi (fun j name -> name, column j), None
    elif labels |> List.forall ((=) "") && table.Columns.Length > 1 then
        column 0, table.Columns.Head, table.Columns.Tail |> List.mapi (fun j name -> name, column (j + 1)), None
    else
        labels |> List.mapi (fun i _ -> float i), "", table.Columns |> List.mapi (fun j name -> name, column j), Some labels

let draw (title: string) (note: string) (table: ResultTable) : Drawing =
    let xs, across, curves, names = series table
    let finite = curves |> List.collect snd |> List.filter Double.IsFinite
    let shown = xs |> List.filter Double.IsFinite
    let yTicks = if finite.IsEmpty then Figures.ticks 0.0 1.0 else Figures.ticks (List.min finite) (List.max finite)
    let low, high = List.min yTicks, List.max yTicks
    let first, last = if shown.IsEmpty then 0.0, 1.0 else List.min shown, List.max shown
    let left, top, w, h = 64.0, 44.0, 480.0, 260.0
    let place (x: float) = if last > first then left + (x - first) / (last - first) * w else left + w / 2.0
    let height (y: float) = if high > low then top + h - (y - low) / (high - low) * h else top + h / 2.0
    let grid =
        [ for y in yTicks do
              line left (height y) (left + w) (height y) "grid"
              label (left - 8.0) (height y + 3.5) 10.0 "soft" "end" (Figures.short y) ]
    let along =
        match names with
        | Some labels ->
            let every = max 1 ((labels.Length + 11) / 12)
            [ for i in 0 .. every .. labels.Length - 1 do
                  name (place (float i)) (top + h + 16.0) 10.0 "soft" "middle" (max 4 (64 * every / labels.Length)) labels[i] ]
        | None ->
            [ for x in Figures.ticks first last do
                  if x >= first - 1e-9 && x <= last + 1e-9 then
                      line (place x) (top + h) (place x) (top + h + 4.0) "axis"
                      label (place x) (top + h + 16.0) 10.0 "soft" "middle" (Figures.short x) ]
    let curve k (title: string, ys: float list) =
        let points = List.zip xs ys |> List.filter (fun (x, y) -> Double.IsFinite x && Double.IsFinite y)
        let path = String.Join(" ", points |> List.map (fun (x, y) -> $"{length (place x)},{length (height y)}"))
        let where x = match names with Some labels -> labels[int x] | None -> Figures.exact x
        let key = top + 14.0 + 18.0 * float k
        Element(
            "g",
            [],
            [ Element("polyline", [ "points", path; "class", "curve"; "stroke-dasharray", dashes[k % dashes.Length] ], [])
              for x, y in points do
                  point k (place x) (height y) $"{title} at {where x}: {Figures.exact y}"
              Element(
                  "polyline",
                  [ "points", $"{length (left + w + 16.0)},{length (key - 4.0)} {length (left + w + 44.0)},{length (key - 4.0)}"
                    "class", "curve"
                    "stroke-dasharray", dashes[k % dashes.Length] ],
                  []
              )
              point k (left + w + 30.0) (key - 4.0) title
              name (left + w + 50.0) key 11.0 "n" "start" 28 title ]
        )
    let foot = String.Join("; ", [ if note <> "" then note
                                   yield! table.Summary |> List.map (fun (name, v) -> $"{name} {Figures.exact v}") ])
    let ends = if finite.IsEmpty then "no finite number" else $"from {Figures.exact (List.min finite)} to {Figures.exact (List.max finite)}"
    let widest = curves |> List.map (fst >> Figures.cut 28 >> Figures.width 11.0) |> List.append [ 0.0 ] |> List.max
    { Title = title
      Description = $"{curves.Length} curves over {xs.Length} places, {ends}."
      Width = max (left + w + 62.0 + widest) (Figures.titleWidth title + 28.0)
      Height = top + h + 62.0
      Marks =
        [ yield! grid
          line left (top + h) (left + w) (top + h) "axis"
          yield! along
          label (left + w / 2.0) (top + h + 34.0) 11.0 "soft" "middle" across
          yield! curves |> List.mapi curve
          label 12.0 (top + h + 52.0) 10.0 "soft" "start" foot ] }
