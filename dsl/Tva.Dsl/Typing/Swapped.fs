/// From a call that an argument of the wrong kind spoils to what to write instead, where two of its arguments change places.
module Tva.Dsl.Typing.Swapped

open System
open Tva.Dsl
open Tva.Dsl.Syntax
open Tva.Dsl.Typing.Context

/// An argument that was given by its position: its number in the call, that of its place, and its value.
type Placed = { At: int; Place: int; Value: Value; Span: Span }

/// The call as it would be with two arguments in each other's place.
let private text (program: Program) (func: string) (args: Arg list) (a: Placed) (b: Placed) =
    let one i (arg: Arg) =
        let value = program.TextOf (match i with i when i = a.At -> b.Span | i when i = b.At -> a.Span | _ -> arg.Value.Span)
        match arg.Name with
        | Some name -> $"{name.Text} = {value}"
        | None -> value
    let written = func + "(" + String.Join(", ", args |> List.mapi one) + ")"
    if written.Length > 120 then $"{quote (program.TextOf b.Span)} and {quote (program.TextOf a.Span)}" else $"`{written}`"

/// Looks through what was found since `before` in a call of `func`. `check` checks the call with two arguments in each other's place, for its
/// kinds only; what it reports is taken back.
let offer (ctx: Context) (before: int) (func: string) (span: Span) (args: Arg list) (placed: Placed list) (check: Placed -> Placed -> unit) =
    let program = ctx.Program
    let found = program.Diagnostics
    let fits a b = program.Trial(fun () -> check a b) |> List.exists Diagnostics.isOfValues |> not
    let mistakes = [ for i in before .. found.Count - 1 do if Diagnostics.isOfKind found[i] then i ]
    match mistakes with
    | [] -> ()
    | first :: others ->
        let known = placed |> List.filter (fun p -> not p.Value.IsUnknown)
        let pairs = [ for a in known do for b in known do if a.At < b.At && kindOf ctx a.Value <> kindOf ctx b.Value then a, b ]
        // Some functions look at their arguments only where they are used: to those every order is right, this one, too.
        let isSeen = known |> List.tryHead |> Option.exists (fun p -> not (fits p p))
        match pairs |> List.tryFind (fun (a, b) -> isSeen && fits a b) with
        | None -> ()
        | Some(a, b) ->
            found[first] <- { found[first] with Help = Some $"swap them: {text program func args a b}" }
            // The other half of the same mistake.
            for i in List.rev others do
                if List.contains found[i].Span [ a.Span; b.Span; span ] then
                    found.RemoveAt i
