/// The program under construction: sources opened, numbers to be told by a run, actions and diagnostics in order.
namespace Tva.Dsl.Typing

open System
open System.Collections.Generic
open System.IO
open Tva.Core
open Tva.Core.Checkpoints
open Tva.Core.Tensors
open Tva.Dsl
open Tva.Dsl.Graph

/// What a script may do besides algebra; the person says so, not the text.
type Permissions = { Run: bool; FSharp: bool }

/// What looks like a name in a text. By hand, because the first use of a regular expression costs tens of milliseconds.
module private Words =

    let words (text: string) =
        let found = List<string>()
        let mutable i = 0
        while i < text.Length do
            if Char.IsLetter text[i] || text[i] = '_' then
                let start = i
                while i < text.Length && (Char.IsLetterOrDigit text[i] || text[i] = '_') do
                    i <- i + 1
                found.Add(text.Substring(start, i - start))
            else
                i <- i + 1
        found

open Words

/// A checked text: what to do and over what. Sources stay open until it is disposed.
type Program(permissions: Permissions) =
    let graph = Graph()
    let sources = List<Source>()
    let diagnostics = List<Diagnostic>()
    let seen = HashSet<struct (string * Span * string)>()
    let effects = List<Effect>()
    let late = List<int * FromTable>()
    let compatible = Dictionary<struct (int * int), bool>()
    let texts = List<SourceText>()
    let remembered = Dictionary<string, string>()
    let models = HashSet<int>()
    let mutable evaluations = 0
    let mutable placeholders = 0

    /// The number of the prelude's text.
    member val Prelude = -1 with get, set

    member _.Graph = graph
    /// Every text read, by its number.
    member _.Texts = texts

    /// Takes a text in.
    member _.AddText(name: string, folder: string, text: string) =
        let source = { Number = texts.Count; Name = name; Folder = folder; Text = text }
        texts.Add source
        source

    /// What stands at a place, on one line.
    member _.TextOf(span: Span) =
        if span.Source < 0 || span.Source >= texts.Count then ""
        else
            let text = texts[span.Source].Text
            let first = min span.Start text.Length
            let last = max first (min span.End text.Length)
            String.Join(" ", text.Substring(first, last - first).Split([| ' '; '\n'; '\r'; '\t' |], StringSplitOptions.RemoveEmptyEntries))

    member _.Permissions = permissions
    member _.Sources = sources
    member _.Diagnostics = diagnostics
    member _.Effects = effects
    /// Late number i: the table it is read from and how.
    member _.Late = late

    /// Reports a finding once.
    member _.Report(d: Diagnostic) =
        if seen.Add(struct (d.Code, d.Span, d.Message)) then
            diagnostics.Add d

    /// Shows what was found inside a function of the prelude, since `from`, at the call instead.
    member p.Relocate(from: int, name: string, call: Span) =
        for i in from .. diagnostics.Count - 1 do
            if diagnostics[i].Span.Source = p.Prelude && call.Source <> p.Prelude then
                diagnostics[i] <- Diagnostics.inFunction name diagnostics[i] call

    member _.Do(effect: Effect) = effects.Add effect

    member _.NewTable() =
        evaluations <- evaluations + 1
        evaluations - 1

    /// A number that the run reads from a printed table.
    member _.LateNumber(table: int, from: FromTable) =
        let known = late.IndexOf((table, from))
        let i =
            if known >= 0 then known
            else
                late.Add((table, from))
                late.Count - 1
        graph.Make(Op.Late i, [||], Span.None)

    /// A number nobody knows: a parameter of a `def` checked on its own.
    member _.PlaceholderNumber() =
        placeholders <- placeholders + 1
        graph.Make(Op.Late -placeholders, [||], Span.None)

    /// Tensors nobody knows, of the given weight.
    member p.PlaceholderTensor(weight: float) =
        placeholders <- placeholders + 1
        { Node = graph.Make(Op.Source -placeholders, [||], Span.None); Weight = graph.Const weight; Set = None }

    /// Keeps the statement that gives a name its meaning.
    member _.Remember(name: string, statement: string) = remembered[name] <- statement

    /// The statements that an expression rests on, then the expression: a text that says where a result comes from.
    member _.Provenance(expression: string) =
        let taken = HashSet<string>()
        let lines = List<string>()
        let rec take (text: string) =
            for name in words text do
                match remembered.TryGetValue name with
                | true, statement when taken.Add name ->
                    take statement
                    lines.Add statement
                | _ -> ()
        take expression
        lines.Add expression
        String.Join("\n", lines)

    /// Sources loaded as Models: their tensor lists govern.
    member _.Models = models

    /// Opens a checkpoint, each only once.
    member _.Open(path: string, shown: string) =
        match sources.FindIndex(fun s -> s.Checkpoint.Path = path) with
        | -1 ->
            sources.Add { Checkpoint = Checkpoint.Open path; Path = shown }
            sources.Count - 1
        | i -> i

    member _.Tensors(source: int) = sources[source].Checkpoint.Tensors

    /// Tensors that differ between two sources: missing from b, extra in b, of another shape; empty when they fit.
    member p.Mismatches(a: int, b: int) =
        if a = b then [], [], []
        else
            match compatible.TryGetValue(struct (a, b)) with
            | true, true -> [], [], []
            | _ ->
                let ca, cb = sources[a].Checkpoint, sources[b].Checkpoint
                let missing = [ for t in ca.Tensors do if isNull (box (cb.Find t.Name)) then t.Name ]
                let extra = [ for t in cb.Tensors do if isNull (box (ca.Find t.Name)) then t.Name ]
                let reshaped =
                    [ for t in ca.Tensors do
                          match cb.Find t.Name with
                          | null -> ()
                          | u when not (u.Shape.Equals t.Shape) -> $"{t.Name} {t.Shape} against {u.Shape}"
                          | u when u.DType.IsFloating() <> t.DType.IsFloating()
                                   || (not (t.DType.IsFloating()) && u.DType <> t.DType) ->
                              $"{t.Name} {t.DType.Name()} against {u.DType.Name()}"
                          | _ -> () ]
                if missing.IsEmpty && extra.IsEmpty && reshaped.IsEmpty then
                    compatible[struct (a, b)] <- true
                missing, extra, reshaped

    /// The layers of a set as (name, layer) pairs, for what varies by layer.
    member _.SetTensors(set: TensorSet) = sources[set.Reference].Checkpoint.Tensors

    interface IDisposable with
        member _.Dispose() =
            for s in sources do
                s.Checkpoint.Dispose()
