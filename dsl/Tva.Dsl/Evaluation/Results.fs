/// From what a run tells its host to what a program goes on with: plain .NET values, for C# as for F#.
namespace Tva.Dsl

open System
open System.Collections.Generic
open System.Globalization
open Tva.Core.Checkpoints

/// A table of numbers by row and column.
[<Sealed>]
type NumberTable internal (table: ResultTable) =
    let rows = table.Rows |> List.map fst
    let values = array2D (table.Rows |> List.map snd)

    member _.Columns: IReadOnlyList<string> = table.Columns
    member _.Rows: IReadOnlyList<string> = rows
    /// By row and column.
    member _.Values: float[,] = values

    member _.Item
        with get (row: string, column: string) =
            let at (names: string list) (name: string) =
                match names |> List.tryFindIndex ((=) name) with
                | Some i -> i
                | None -> raise (KeyNotFoundException $"the table has no `{name}`; it has {Suggest.listing names}")
            values[at rows row, at table.Columns column]

    /// Single numbers about all of it.
    member _.Summary: IReadOnlyDictionary<string, float> = dict table.Summary |> Dictionary :> _

/// What one `print`, or one expression standing alone, shows.
[<Sealed>]
type ShownValues internal (expression: string option, values: obj list) =
    /// The expression's text; empty for `print`.
    member _.Expression: string = defaultArg expression ""
    /// A double, a bool, a string, a NumberTable, a dictionary of facts about a Model, Delta or Family, or a list of these; findings are an
    /// array of dictionaries, one for each row, from column to string or double.
    member _.Values: IReadOnlyList<obj> = values

/// What was found in a text, and what its names are.
[<Sealed>]
type CheckResult internal (texts: SourceText list, diagnostics: Diagnostic list, types: IReadOnlyDictionary<string, string>) =
    /// No errors; there may be warnings.
    member _.Succeeded = diagnostics |> List.forall (fun d -> d.Severity <> Severity.Error)
    member _.Diagnostics: IReadOnlyList<Diagnostic> = diagnostics
    /// By name, in alphabetical order: Model, Delta, Scalar, ...; a function's is its signature. Also where there are errors, as far as they go.
    member _.Types = types
    /// The diagnostics as a person reads them, with the lines that they are about.
    member _.Messages: string = Render.diagnostics texts false diagnostics

/// What a run has shown and made. Mistakes in the text and failed assertions are told here; faults of files and disks are exceptions.
[<Sealed>]
type EvaluationResult internal (check: CheckResult, outcome: Outcome option, events: Event list, models: IReadOnlyDictionary<string, MemoryCheckpoint>) =

    let rec value (shown: Shown) : obj =
        match shown with
        | Shown.Text t -> t :> obj
        | Shown.Number v -> v :> obj
        | Shown.Truth b -> b :> obj
        | Shown.Table t -> NumberTable t :> obj
        | Shown.Findings f ->
            let cell c = match c with Cell.Word w -> w :> obj | Cell.Figure v -> v :> obj | Cell.Blank -> "" :> obj
            [| for row in f.Rows -> Dictionary(dict (List.zip f.Columns (row |> List.map cell))) :> obj |] :> obj
        | Shown.Card(title, facts) -> Dictionary(dict (("kind", title) :: facts)) :> obj
        | Shown.List items -> (items |> List.map value |> List.toArray) :> obj

    let shown =
        lazy
            (events
             |> List.choose (function
                 | Event.Shown(expression, items) -> Some(ShownValues(expression, items |> List.map value))
                 | _ -> None))

    /// The text had no errors, ran to its end, and its assertions held.
    member _.Succeeded = (outcome = Some Outcome.Completed)
    /// What was found in the text; with an error nothing was run.
    member _.Check = check
    /// The failed assertion with the values on both sides; null where none failed.
    member _.AssertionFailure: string | null =
        match outcome with
        | Some(Outcome.AssertionFailed message) -> message
        | _ -> null
    /// In the order of the text.
    member _.Shown: IReadOnlyList<ShownValues> = shown.Value
    /// What was saved as `memory:name`, by name; empty where the host takes outputs itself.
    member _.Models = models
    /// Files and folders written.
    member _.Saved: IReadOnlyList<string> =
        [ for e in events do
              match e with
              | Event.Saved(path, _) when not (path.StartsWith MemoryCheckpoint.Scheme) -> path
              | _ -> () ]
    member _.Warnings: IReadOnlyList<string> =
        [ for e in events do
              match e with
              | Event.Warned message -> message
              | _ -> () ]

    /// What an expression that stands alone in the text has shown, by its text.
    member _.Item
        with get (expression: string) : obj =
            match shown.Value |> List.tryFind (fun s -> s.Expression = expression) with
            | Some s -> s.Values[0]
            | None ->
                let known = shown.Value |> List.map _.Expression |> List.filter ((<>) "")
                raise (KeyNotFoundException $"the text shows no `{expression}`; it shows {Suggest.listing known}")

    /// Throws where the text had errors or an assertion failed; goes on with the result otherwise.
    member this.EnsureSucceeded() : EvaluationResult =
        match outcome with
        | None -> raise (InvalidOperationException check.Messages)
        | Some(Outcome.AssertionFailed message) -> raise (InvalidOperationException $"assertion failed: {message}")
        | Some Outcome.Completed -> this

/// What a host gives a text by name.
module internal Parameters =

    let rec private text (name: string) (value: obj | null) : string =
        match value with
        | :? string as s -> s
        | :? bool as b -> if b then "true" else "false"
        | :? System.Collections.IEnumerable as list ->
            let item (v: obj | null) =
                match v with
                | :? string -> raise (ArgumentException $"{name} has a text in its list; give numbers in a list")
                | v -> text name v
            "[" + String.Join(", ", list |> Seq.cast<obj | null> |> Seq.map item) + "]"
        | :? Half as v -> text name (float v)
        | :? float as v when not (Double.IsFinite v) -> raise (ArgumentException $"{name} is {v}, and texts have finite numbers only")
        | :? float32 as v -> text name (float v)
        | :? IFormattable as v when (v :? float || v :? decimal || v :? int || v :? int64 || v :? int16 || v :? uint16 || v :? byte || v :? sbyte || v :? uint32 || v :? uint64) ->
            // The shortest digits that give the number back.
            v.ToString("", CultureInfo.InvariantCulture)
        | null -> raise (ArgumentNullException name)
        | v -> raise (ArgumentException $"{name} is a {v.GetType().Name}; give a number, a bool, a string, numbers in a list, or a MemoryCheckpoint")

    /// Values for `param` statements, as text, and checkpoints.
    let split (given: IReadOnlyDictionary<string, obj> | null) : Map<string, string> * Map<string, MemoryCheckpoint> =
        match given with
        | null -> Map.empty, Map.empty
        | given ->
            let checkpoints = [ for p in given do match p.Value with :? MemoryCheckpoint as c -> p.Key, c | _ -> () ]
            let settings = [ for p in given do if not (p.Value :? MemoryCheckpoint) then p.Key, text p.Key p.Value ]
            Map.ofList settings, Map.ofList checkpoints
