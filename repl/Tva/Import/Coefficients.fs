/// From mergekit's settings, which vary by tensor name and by layer, to TVA's numbers.
module Tva.Import.Coefficients

open System
open System.Globalization
open Tva.Dsl
open Tva.Dsl.Syntax

/// Numbers to go between over the layers (one: the same everywhere), first where a tensor's name has the filter in it, else the last.
type Coefficient =
    { Cases: (string * float list) list
      Else: float list }

let constant (v: float) = { Cases = []; Else = [ v ] }

let number (v: float) = v.ToString("R", CultureInfo.InvariantCulture).ToLowerInvariant()

let private flat (numbers: float list) = numbers |> List.forall ((=) numbers.Head)

/// The one number it is everywhere.
let known (c: Coefficient) =
    if flat c.Else && c.Cases |> List.forall (fun (_, n) -> flat n && n.Head = c.Else.Head) then Some c.Else.Head else None

let varies (c: Coefficient) = (known c).IsNone

let map (f: float -> float) (c: Coefficient) =
    { Cases = c.Cases |> List.map (fun (filter, n) -> filter, List.map f n); Else = List.map f c.Else }

let numbers (c: Coefficient) = c.Else @ List.collect snd c.Cases

/// mergekit goes from the first number at a slice's first layer to the last at its last layer, which is the ramp; but tensors of no
/// layer take the first, and of a single layer it takes the last.
let private schedule (layers: int option) (numbers: float list) =
    let first, last = numbers.Head, List.last numbers
    if flat numbers then number first
    elif layers = Some 1 then $"ramp({number last}, outside = {number first})"
    else
        let points = String.Join(", ", numbers |> List.map number)
        $"ramp({points}, outside = {number first})"

/// As TVA writes it, for a merge of so many layers where that is known.
let text (layers: int option) (c: Coefficient) =
    match known c with
    | Some v -> number v
    | None ->
        let entry (filter, numbers) = $"""{Printer.quote $"*{filter}*"}: {schedule layers numbers}"""
        if c.Cases.IsEmpty then schedule layers c.Else
        else
            let entries = (c.Cases |> List.map entry) @ [ $"else: {schedule layers c.Else}" ]
            let oneLine = "{ " + String.Join(", ", entries) + " }"
            if oneLine.Length <= 90 then oneLine else "{\n  " + String.Join(",\n  ", entries) + "\n}"

/// One for each member: a single one where all are the same.
let texts (layers: int option) (cs: Coefficient list) =
    match cs |> List.map (text layers) |> List.distinct with
    | [ one ] -> one
    | _ ->
        let items = cs |> List.map (text layers)
        let oneLine = "[" + String.Join(", ", items) + "]"
        if oneLine.Length <= 90 then oneLine
        else "[\n  " + String.Join(",\n  ", items |> List.map (fun i -> i.Replace("\n", "\n  "))) + "\n]"

/// The settings of a name in the order in which mergekit looks for them, from a source's own to the document's, as one coefficient.
/// None: nothing is said, and there is no default.
let resolve (report: Diagnostic -> unit) (levels: Parameters list) (name: string) (fallback: float option) : Coefficient option =
    let cases = levels |> List.collect (fun level -> level |> List.filter (fun (s: Setting) -> s.Name = name) |> List.collect _.Cases)
    let isGeneral (c: Case) = match c.Filter with None | Some("" | "*") -> true | Some _ -> false
    // What stands behind one that holds everywhere is never reached.
    let reached, general =
        match cases |> List.tryFindIndex isGeneral with
        | Some i -> List.take i cases, Some cases[i].Numbers
        | None -> cases, None
    let literal, usable = reached |> List.partition (fun c -> c.Filter.Value.AsSpan().IndexOfAny('*', '?') >= 0)
    for c in literal do
        report
            (ConfigDiagnostics.ignored c.Span $"the filter `{c.Filter.Value}` fits no tensor: mergekit looks for these characters themselves, `*` included"
                "a filter is a part of a name, such as self_attn")
    let named = usable |> List.map (fun c -> c.Filter.Value, c.Numbers) |> List.distinctBy fst
    match general, fallback, named with
    | Some numbers, _, _ -> Some { Cases = named; Else = numbers }
    | None, Some v, _ -> Some { Cases = named; Else = [ v ] }
    | None, None, [] -> None
    | None, None, _ ->
        report
            (ConfigDiagnostics.assumed (List.last usable).Span $"`{name}` has no value for tensors that no filter fits: mergekit stops there, the script goes on with the last one"
                "add an entry without a filter")
        Some { Cases = named; Else = snd (List.last named) }
