/// From values to what a person at a terminal sees: cards, tables with bars, matrices in colours.
///
/// Spectre.Console 0.49.1 was tried for the tables: its first one takes 340 ms (its code compiled as it runs), three times the time to the
/// first prompt, and what is needed here are aligned columns and a few colours.
module Tva.Prompt.Show

open System
open System.Globalization
open Tva
open Tva.Dsl

let private esc = "\u001b["
let private paint color codes (text: string) = if color then $"{esc}{codes}m{text}{esc}0m" else text

/// More rows than this of a value that was merely named are told in numbers; `print` shows all.
let private mostRows = 60

let private cellText (v: float) = if Double.IsNaN v then "nan" else v.ToString("0.000", CultureInfo.InvariantCulture)

/// Blue above 0, red below, the deeper the further from it; of the 256 colours that terminals have.
let private heat (v: float) =
    if Double.IsNaN v then "90"
    else
        let step = int (Math.Round(min 1.0 (abs v) * 5.0))
        let blue, red = [| 255; 189; 153; 111; 69; 27 |], [| 255; 224; 217; 210; 203; 160 |]
        let back = if v >= 0.0 then blue[step] else red[step]
        let front = if step >= 4 then 255 else 16
        $"38;5;{front};48;5;{back}"

/// Rows and columns are the same things, and every number is a share: cosines.
let private isMatrix (t: ResultTable) =
    t.Columns.Length > 1
    && t.Columns = (t.Rows |> List.map fst)
    && t.Rows |> List.forall (fun (_, values) -> values |> List.forall (fun v -> not (abs v > 1.0 + 1e-6)))

let private matrix color (t: ResultTable) =
    let names = t.Columns |> List.map Format.printable
    let left = names |> List.map Render.width |> List.max
    let widths = names |> List.map (fun n -> max 6 (Render.width n))
    let pad width (text: string) = String(' ', max 0 (width - Render.width text)) + text
    let head = String(' ', left) + String.Concat(List.map2 (fun w n -> "  " + pad w n) widths names)
    head
    :: [ for name, values in t.Rows ->
             let cells = List.map2 (fun w v -> "  " + paint color (heat v) (pad w (cellText v))) widths values
             let name = Format.printable name
             name + String(' ', left - Render.width name) + String.Concat cells ]

/// An eighth of a column is the least that a bar shows.
let private bar (share: float) (width: int) =
    let eighths = int (Math.Round(share * float width * 8.0))
    let rest = [| ""; "▏"; "▎"; "▍"; "▌"; "▋"; "▊"; "▉" |]
    String('█', eighths / 8) + rest[eighths % 8]

/// The column whose size is worth seeing: norms and errors first, else the first that has sizes at all.
let private barColumn (t: ResultTable) =
    let sizes i =
        let values = t.Rows |> List.map (fun (_, v) -> List.item i v)
        values |> List.forall (fun v -> v >= 0.0 && Double.IsFinite v) && List.max values > 0.0 && (List.distinct values).Length > 1
    let candidates = [ for i in 0 .. t.Columns.Length - 1 do if sizes i then i ]
    let named = [ "relative_error"; "error"; "norm"; "score"; "value" ]
    named
    |> List.tryPick (fun n -> candidates |> List.tryFind (fun i -> t.Columns[i] = n))
    |> Option.orElse (List.tryHead candidates)

let private barred color width (t: ResultTable) =
    let plain = Format.items [ Shown.Table { t with Summary = [] } ]
    let lines = plain.TrimEnd('\n').Split('\n') |> List.ofArray
    let isSingle = lines.Length = t.Rows.Length
    match (if t.Rows.Length < 2 then None else barColumn t) with
    | None -> lines
    | Some column ->
        let used = lines |> List.map Render.width |> List.max
        let room = min 24 (width - used - 3)
        if room < 6 then lines
        else
            let values = t.Rows |> List.map (fun (_, v) -> List.item column v)
            let most = List.max values
            let heads, rows = List.splitAt (if isSingle then 0 else 1) lines
            heads
            @ List.map2
                (fun (line: string) v -> line + String(' ', used - Render.width line) + "  " + paint color "34" (bar (v / most) room))
                rows
                values

let private table color width isNamed (t: ResultTable) =
    if isMatrix t then matrix color t
    else
        let more = if isNamed then t.Rows.Length - mostRows else 0
        let shown = if more > 0 then { t with Rows = List.truncate mostRows t.Rows } else t
        let summary =
            if t.Summary.IsEmpty then []
            else
                let rows = ResultTable.Of([ "value" ], [ for name, v in t.Summary -> name, [ v ] ])
                (Format.items [ Shown.Table rows ]).TrimEnd('\n').Split('\n') |> List.ofArray
        barred color width shown
        @ (if more > 0 then [ paint color "90" $"... and {more} rows more; print(...) shows all" ] else [])
        @ summary

let private card color width (title: string) (facts: (string * string) list) =
    let left = if facts.IsEmpty then 0 else facts |> List.map (fun (n, _) -> Render.width n) |> List.max
    paint color "1" (Format.printable title)
    :: [ for name, value in facts do
             let parts = value.Split '\n' |> List.ofArray |> List.collect (Format.printable >> Picture.wrap (max 20 (width - left - 4)))
             for i, line in List.indexed parts do
                 let name = if i = 0 then name else ""
                 let label = "  " + Format.printable name + String(' ', max 0 (left - Render.width name)) + "  "
                 paint color "90" label + line ]

/// Where the last column holds sentences they are set beside the others in the room that is left, or where that is little below each row.
let private findings color width (f: Findings) =
    let plain (f: Findings) = (Format.items [ Shown.Findings f ]).TrimEnd('\n').Split('\n') |> List.ofArray
    let last = f.Rows |> List.map List.last
    if f.Columns.Length < 2 || f.Rows.IsEmpty || not (last |> List.exists _.IsWord) then plain f
    else
        let init row = List.truncate (f.Columns.Length - 1) row
        let lines = plain { Columns = init f.Columns; Rows = f.Rows |> List.map init }
        let used = lines |> List.map Render.width |> List.max
        let why = last |> List.map (function Cell.Word w -> Format.printable w | _ -> "")
        let isBeside = width - used - 3 >= 40
        let head = lines.Head + (if isBeside then String(' ', used - Render.width lines.Head) + "  " + List.last f.Columns else "")
        head
        :: [ for line, why in List.zip lines.Tail why do
                 if why = "" then line
                 elif isBeside then
                     for i, part in List.indexed (Picture.wrap (width - used - 3) why) do
                         let left = if i = 0 then line else ""
                         left + String(' ', used - Render.width left) + "  " + part
                 else
                     line
                     for part in Picture.wrap (max 20 (width - 5)) why do
                         "    " + paint color "90" part ]

/// The lines of what one statement shows; `isNamed` where the statement was an expression alone.
let rec lines (color: bool) (width: int) (isNamed: bool) (items: Shown list) : string =
    let join (parts: string list) = String.Join("\n", parts) + "\n"
    match items with
    | [ Shown.Table t ] -> join (table color width isNamed t)
    | [ Shown.Card(title, facts) ] -> join (card color width title facts)
    | [ Shown.Findings f ] -> join (findings color width f)
    | [ Shown.Text title; Shown.Table t ] when isNamed -> join (paint color "1" title :: table color width isNamed t)
    | [ Shown.List parts ] when parts |> List.exists (function Shown.Card _ | Shown.Table _ | Shown.Findings _ -> true | _ -> false) ->
        parts |> List.map (fun p -> lines color width isNamed [ p ]) |> String.concat ""
    | items -> Format.items items
