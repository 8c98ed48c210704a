/// From a text open in an editor to what the editor shows of it, in the protocol's shapes.
namespace Tva.Lsp

open System
open System.IO
open Tva.Dsl
open Tva.Dsl.Services

type Finding =
    { range: Position.Range
      severity: int
      code: string
      source: string
      message: string }

/// Not thread-safe; dispose it to close the checkpoints that the text names.
type Document(options: EvaluatorOptions, uri: string, folder: string) =
    /// What an evaluator has opened stays open and as it was, so a new one is taken now and then.
    let most = 500
    let mutable evaluator = new Evaluator(options)
    let mutable asked = 0
    let mutable text = ""

    let renew () =
        (evaluator :> IDisposable).Dispose()
        evaluator <- new Evaluator(options)
        asked <- 0

    let service () =
        asked <- asked + 1
        if asked > most then
            renew ()
        LanguageService evaluator

    member _.Uri = uri

    member _.Text
        with get () = text
        and set (value: string) = text <- value

    /// Files may have changed: they are opened again.
    member _.Refresh() = renew ()

    member _.Diagnostics() : Finding[] =
        let found, texts = service().Diagnose(uri, folder, text)
        [| for d in found do
               let own = texts |> List.tryFind (fun t -> t.Number = d.Span.Source)
               let message = match d.Help with Some help -> $"{d.Message}\nhelp: {help}" | None -> d.Message
               let range, message =
                   match own with
                   | Some t when t.Name <> uri ->
                       // It stands in a file that this text includes.
                       let struct (line, column) = t.Position d.Span.Start
                       Position.range text 0 0, $"{t.Name}:{line}:{column}: {message}"
                   | _ -> Position.range text d.Span.Start d.Span.End, message
               { range = range
                 severity = (match d.Severity with Severity.Error -> 1 | Severity.Warning -> 2)
                 code = d.Code
                 source = "tva"
                 message = message } |]

    member _.Complete(line: int, character: int) =
        let found = service().Complete(folder, text, Position.toOffset text line character)
        let range = Position.range text found.Start found.End
        /// Numbers of the protocol.
        let kind (k: CandidateKind) =
            match k with
            | CandidateKind.Function -> 3
            | CandidateKind.Member -> 5
            | CandidateKind.Name -> 6
            | CandidateKind.Option -> 10
            | CandidateKind.Value
            | CandidateKind.Tensor -> 12
            | CandidateKind.Keyword -> 14
            | CandidateKind.Path -> 17
            | CandidateKind.Type -> 7
        {| isIncomplete = false
           items =
            [| for i, c in List.indexed found.Candidates do
                   {| label = c.Text
                      kind = kind c.Kind
                      detail = c.Detail
                      // The order is the service's.
                      sortText = $"{i:D5}"
                      filterText = c.Text
                      textEdit = {| range = range; newText = c.Text |} |} |] |}

    member _.Hover(line: int, character: int) : obj | null =
        let offset = Position.toOffset text line character
        // A name is known behind the statement that defines it: asked about there, it is looked at from behind.
        let found =
            match Definitions.definedAt text offset with
            | Some(name, finish) ->
                let behind = text.Substring(0, finish) + "\n" + name.Text
                service().Describe(folder, behind, behind.Length) |> Option.map (fun d -> { d with Start = name.Span.Start; End = name.Span.End })
            | None -> service().Describe(folder, text, offset)
        match found with
        | None -> null
        | Some d ->
            let head, rest = d.Lines.Head, d.Lines.Tail
            let body = String.Join("\n\n", $"```tva\n{head}\n```" :: rest)
            {| contents = {| kind = "markdown"; value = body |}; range = Position.range text d.Start d.End |}

    member _.Definition(line: int, character: int) : obj | null =
        match Definitions.find folder text (Position.toOffset text line character) with
        | None -> null
        | Some l ->
            let target = match l.File with Some file -> Uri(file).AbsoluteUri | None -> uri
            {| uri = target; range = Position.range l.Text l.Start l.End |}

    interface IDisposable with
        member _.Dispose() = (evaluator :> IDisposable).Dispose()

module Document =

    /// The folder that paths of a document are relative to; of one that is no file yet, the working folder.
    let folderOf (working: string) (uri: string) =
        match Uri.TryCreate(uri, UriKind.Absolute) with
        | true, NonNull u when u.IsFile -> Path.GetDirectoryName u.LocalPath |> Option.ofObj |> Option.defaultValue working
        | _ -> working
