/// From what a command prints of two models' outputs to how alike they answer (α̂ of arXiv 2504.10957).
module Tva.Dsl.Outputs

open System
open System.Globalization
open Tva.Core
open Tva.Core.Theory

/// A cell's data set with the places in its lists: `digits[3][0]` is (digits, [3; 0]).
let private place (label: string) =
    let rec take (text: string) (found: int list) =
        let at = text.LastIndexOf '['
        if text.EndsWith ']' && at > 0 then
            match Int32.TryParse(text.AsSpan(at + 1, text.Length - at - 2), NumberStyles.None, CultureInfo.InvariantCulture) with
            | true, i -> take (text.Substring(0, at)) (i :: found)
            | _ -> text, found
        else text, found
    take label []

let private wanted =
    "for each data set a list of samples, each of them a number or a list of numbers, as in {\"digits\": [[0.1, 2.3], [1.4, -0.2]]}"

/// By data set its samples' outputs, in order.
let private dataSets (cells: (string * float) list) : (string * float[] list) list =
    let fail what = raise (FaultException $"a command for outputs should print {wanted}: {what}")
    if cells.IsEmpty then fail "it printed an empty object"
    for label, v in cells do
        if not (Double.IsFinite v) then fail $"`{label}` is {v}"
    [ for name, items in cells |> List.map (fun (label, v) -> place label, v) |> List.groupBy (fst >> fst) do
          let depths = items |> List.map (fun ((_, at), _) -> at.Length) |> List.distinct
          match depths with
          | [ 1 ]
          | [ 2 ] ->
              let samples = items |> List.groupBy (fun ((_, at), _) -> at.Head) |> List.map (fun (_, s) -> s |> List.map snd |> Array.ofList)
              let lengths = samples |> List.map _.Length |> List.distinct
              if lengths.Length > 1 then fail $"the samples of `{name}` have {Suggest.listing (lengths |> List.map string)} outputs"
              if samples.Length < 2 then fail $"`{name}` has one sample; likeness is told from two on"
              name, samples
          | [ 0 ] -> fail $"`{name}` is one number, which is a score and no output"
          | _ -> fail $"`{name}` has lists of different depth" ]

/// The mean over data sets of the mean cosine of the two models' outputs; where data sets are called as the tasks are, over these alone.
let likeness (name: string) (first: (string * float) list) (otherName: string) (second: (string * float) list) : float =
    let a, b = dataSets first, dataSets second
    let shape (sets: (string * float[] list) list) = sets |> List.map (fun (n, samples) -> n, samples.Length, samples.Head.Length)
    if shape a <> shape b then
        raise (FaultException "the command printed outputs of other samples for one model than for the other; it must take the same samples, in the same order, for all")
    let own = List.zip a b |> List.filter (fun ((n, _), _) -> n = name || n = otherName)
    let taken = if own.Length = 2 then own else List.zip a b
    taken |> List.averageBy (fun ((_, x), (_, y)) -> OutputCorrelation.Of(Array.ofList x, Array.ofList y))
