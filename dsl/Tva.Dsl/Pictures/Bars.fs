/// From a table to bars: a panel for each column, a bar for each row, its number at its end.
module Tva.Dsl.Pictures.Bars

open System
open Tva.Dsl
open Tva.Dsl.Pictures.Frame
open Tva.Dsl.Pictures.Markup

let private panel = 240.0
let private step = 20.0

/// With `kept`, rows from there on are hatched: of a spectrum, what is left out.
let draw (title: string) (note: string) (table: ResultTable) (kept: int option) : Drawing =
    let most = 36
    let left = 16.0 + (table.Rows |> List.map (fst >> Figures.cut most >> Figures.width 11.0) |> List.max)
    let top = 58.0
    let wide = panel + 64.0
    let column j (head: string) =
        let values = table.Rows |> List.map (fun (_, vs) -> vs[j])
        let finite = values |> List.filter Double.IsFinite
        let low, high = min 0.0 (List.min (0.0 :: finite)), max 0.0 (List.max (0.0 :: finite))
        let scale = if high > low then panel / (high - low) else 0.0
        let x0 = left + wide * float j
        let zero = x0 - low * scale
        let bar i v =
            let y = top + step * float i
            let size = if Double.IsFinite v then abs v * scale else 0.0
            let x = if v < 0.0 then zero - size else zero
            let beyond = kept |> Option.exists (fun m -> i >= m)
            let words = $"{fst table.Rows[i]}: {Figures.exact v}" + (if beyond then ", left out" else "")
            [ rect x y size (step - 5.0) ((if v < 0.0 then "less" else "more") + (if beyond then " dim" else "")) [] [ labelled "title" [] words ]
              if (v < 0.0 || beyond) && size >= 6.0 then
                  hatch x y size (step - 5.0)
              label (max zero (x + size) + 5.0) (y + 11.5) 10.0 "n" "start" (Figures.brief v) ]
        [ if head <> "" then
              name x0 (top - 8.0) 11.0 "soft" "start" most head
          yield! values |> List.mapi bar |> List.concat
          line zero (top - 3.0) zero (top + step * float values.Length) "axis" ]
    let rows = table.Rows |> List.mapi (fun i (row, _) -> name (left - 8.0) (top + step * float i + 11.5) 11.0 "soft" "end" most row)
    let bottom = top + step * float table.Rows.Length
    let foot =
        String.Join("; ", [ if note <> "" then note
                            yield! table.Summary |> List.map (fun (name, v) -> $"{name} {Figures.exact v}") ])
    let shown = String.Join(", ", table.Columns |> List.filter ((<>) ""))
    let of' = if shown = "" then "" else $" of {shown}"
    { Title = title
      Description = $"Bars{of'} for {table.Rows.Length} rows. {foot}".Trim()
      Width = max (left + wide * float table.Columns.Length) (max (Figures.titleWidth title) (Figures.width 10.0 foot) + 28.0)
      Height = bottom + 26.0
      Marks =
        [ yield! rows
          yield! table.Columns |> List.mapi column |> List.concat
          label 12.0 (bottom + 16.0) 10.0 "soft" "start" foot ] }
