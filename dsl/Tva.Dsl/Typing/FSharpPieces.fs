/// F# inside a text: from `fs` pieces to values and graph nodes, with what is wrong shown inside the F#.
namespace Tva.Dsl.Typing

open System
open Tva.Dsl
open Tva.Dsl.Graph
open Tva.Dsl.Syntax
open Tva.Dsl.Typing.Context

/// The F# of one program; its compiler is asked for the first time a text holds F#.
type FSharpPieces(program: Program) =
    /// More values than anybody weighs, and few enough to hold.
    let mostValues = 100_000
    let defined = ResizeArray<Span>()
    let codes = ResizeArray<FSharpCode>()
    let report d = program.Report d
    let unknown = Value.Unknown Kind.Any

    let sourceOf (span: Span) = if span.Source >= 0 && span.Source < program.Texts.Count then Some program.Texts[span.Source] else None

    let codeAt (span: Span) (text: string) : FSharpCode =
        match sourceOf span with
        | Some source ->
            let places = Content.places source span
            let struct (_, column) = source.Position(places[0])
            { Text = text; Column = column - 1 }
        | None -> { Text = text; Column = 0 }

    /// Where offsets into a piece stand in its source.
    let within (piece: Span) first last =
        match sourceOf piece with
        | Some source ->
            let places = Content.places source piece
            let at i = places[Math.Clamp(i, 0, places.Length - 1)]
            { piece with Start = at first; End = max (at first + 1) (at (max first last)) }
        | None -> piece

    let tell (span: Span) (mistakes: FSharpMistake list) =
        for m in mistakes do
            let piece = if m.Piece < 0 || m.Piece >= defined.Count then span else defined[m.Piece]
            report (Diagnostics.fsharp m.Code m.Message m.Help m.IsWarning (within piece m.Start m.End))

    /// Asks the compiler, if the person allows it and there is one.
    let ask span (question: IFSharpHost -> 'a) : 'a option =
        if not program.Permissions.FSharp then
            report (Diagnostics.needsPermission "F# inside a script" Tva.Core.Wording.Current.FSharp span)
            None
        else
            match program.FSharp() with
            | None ->
                report (Diagnostics.fsharpAbsent span)
                None
            | Some host ->
                let answer = question host
                match host.TakeOutput() with
                | "" -> ()
                | printed -> program.HearFSharp printed
                Some answer

    let rec toValue (ctx: Context) span (value: FSharpValue) =
        match value with
        | FSharpValue.Number v -> Value.Scalar(number ctx v)
        | FSharpValue.Truth b -> Value.Bool(number ctx (if b then 1.0 else 0.0))
        | FSharpValue.Text t -> Value.Text t
        | FSharpValue.List vs -> Value.List(vs |> List.map (toValue ctx span))
        | FSharpValue.Record entries ->
            let ident text = { Text = text; Span = span }
            Value.Record
                [ for name, v in entries ->
                      (match name with
                       | "else" -> Else span
                       | name when Words.isName name -> Key(ident name)
                       | name -> Glob(ident name)),
                      toValue ctx span v ]

    let rec size value =
        match value with
        | FSharpValue.List vs -> 1 + List.sumBy size vs
        | FSharpValue.Record entries -> 1 + List.sumBy (snd >> size) entries
        | _ -> 1

    /// What has been defined, in order.
    member _.Definitions = List.ofSeq codes

    /// `fs """..."""` as a statement.
    member _.Define(code: string, span: Span) =
        let piece = codeAt span code
        // Counted before it is compiled: mistakes in it are asked about as -1, later ones by its number.
        match ask span (fun host -> host.Define(piece, program.Stopping())) with
        | Some mistakes ->
            tell span mistakes
            defined.Add span
            if mistakes |> List.forall _.IsWarning then
                codes.Add piece
        | None -> ()

    /// `fs "..."` as a value.
    member _.Value(ctx: Context, code: string, span: Span) : Value =
        match ask span (fun host -> host.Evaluate(codeAt span code, program.Stopping())) with
        | Some(value, mistakes) ->
            tell span mistakes
            match value with
            | Some v when size v > mostValues ->
                report (Diagnostics.fsharpTooMuch mostValues span)
                unknown
            | Some v -> toValue ctx span v
            | None -> unknown
        | None -> unknown

    /// `fs "fun x k -> ..."` as the body of a `def`: an operator on numbers and Deltas, element by element.
    member _.Function(ctx: Context, code: string, d: Definition, span: Span) : Value =
        let arguments = d.Params |> List.map (fun p -> ctx.Names[p.Name.Text])
        let truth = d.Params |> List.map (fun p -> match p.Type with Some t -> t.Text = Kind.text Kind.Bool | None -> false)
        match ask span (fun host -> host.Function(codeAt span code, truth, program.Stopping())) with
        | Some(None, mistakes) ->
            tell span mistakes
            unknown
        | None -> unknown
        | Some(Some f, mistakes) ->
            tell span mistakes
            let nodes =
                arguments
                |> List.map (function
                    | Value.Tensor t -> Some t.Node
                    | Value.Scalar n
                    | Value.Bool n -> Some n
                    | _ -> None)
            let tensors = List.zip d.Params arguments |> List.choose (fun (p, v) -> match v with Value.Tensor t -> Some(p, t) | _ -> None)
            let odd = List.zip d.Params (List.zip arguments nodes) |> List.tryFind (fun (_, (v, n)) -> n.IsNone && not v.IsUnknown)
            let areDeltas =
                tensors
                |> List.map (fun (p, t) -> wantDelta ctx $"an F# function of elements (`{p.Name.Text}` of `{d.Name.Text}`)" p.Name.Span t)
                |> List.forall id
            match odd with
            | Some(p, (v, _)) ->
                report (Diagnostics.wrongKind $"`{p.Name.Text}` of an F# function" "numbers, conditions or Deltas" (describe ctx v) span None)
                unknown
            | None when not areDeltas -> unknown
            | None when nodes |> List.exists Option.isNone -> unknown
            | None ->
                let nodes = nodes |> List.map Option.get |> Array.ofList
                let made = Array.zeroCreate<Node> f.Steps.Length
                f.Steps
                |> Array.iteri (fun i step ->
                    made[i] <-
                        match step with
                        | FSharpStep.Argument k -> nodes[k]
                        | FSharpStep.Constant v -> number ctx v
                        | FSharpStep.Operation(name, operands, first, last) ->
                            let place = if last > first then within span first last else span
                            apply ctx name place (operands |> Array.map (fun k -> made[k])))
                let result = Array.last made
                match tensors with
                | [] when f.IsTruth -> Context.truth ctx result
                | [] -> Value.Scalar result
                | (_, first) :: rest ->
                    let set = (first, rest) ||> List.fold (fun acc (_, t) -> { acc with Set = joinSets ctx span acc t })
                    Value.Tensor { Node = result; Weight = number ctx 0.0; Set = set.Set }
