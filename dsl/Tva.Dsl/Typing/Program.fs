/// The program under construction: numbers to be told by a run, actions and diagnostics in order, over the sources that are opened.
namespace Tva.Dsl.Typing

open System
open System.Collections.Generic
open System.Threading
open Tva.Core.Bases
open Tva.Core.Execution
open Tva.Dsl
open Tva.Dsl.Graph

/// What a script may do besides algebra; the person says so, not the text.
type Permissions = { Run: bool; FSharp: bool }

/// A checked text: what to do and over what. Sources stay open until it is disposed.
type Program(permissions: Permissions) =
    inherit ProgramSources()

    let graph = Graph()
    let diagnostics = List<Diagnostic>()
    let seen = HashSet<struct (string * Span * string)>()
    let effects = List<Effect>()
    let late = List<LateNumber>()
    let rules = List<Derivation>()
    let angles = List<AngleSet>()
    let texts = List<SourceText>()
    let statements = Statements()
    let lateNumbers = Dictionary<LateNumber, int>(HashIdentity.Structural)
    let bases = List<BasisDefinition>()
    let solved = Dictionary<int, SolvedBasis>()
    let fromBases = Dictionary<int, int * int>()
    let homes = Dictionary<int, List<string * (string * TensorValue) list>>()
    let notes = List<string>()
    let cautions = List<Caution>()
    let printed = Dictionary<int, (string * float) list>()
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

    /// The host's checkpoints by the names that they have until a text gives these away.
    member val Handed = Dictionary<string, Value>()
    /// Those of them that texts have called, by name or by path.
    member val Called = HashSet<string>()

    /// How many loops are around what is being checked.
    member val Loops = 0 with get, set
    /// May grow while a session lives: the person is asked when a text first needs more.
    member val Permissions = permissions with get, set
    member _.Diagnostics = diagnostics
    member _.Effects = effects
    /// Values to be careful with, wherever they are used.
    member _.Cautions = cautions
    /// Late number i: what it is.
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

    /// What commands have printed so far, by table.
    member _.Printed = printed

    /// Where the program stands now; running what is returned takes everything back that a later text did. What is opened stays open and
    /// numbers of bases are not given again: nothing that stands refers to them.
    member p.Mark() : unit -> unit =
        let found, done', tables = diagnostics.ToArray(), effects.ToArray(), evaluations
        let told, meanings = HashSet seen, statements.Mark()
        let points, differences = HashSet p.Models, HashSet p.Vectors
        let noted, careful, loops = notes.ToArray(), cautions.ToArray(), p.Loops
        let families = homes |> Seq.map (fun h -> KeyValuePair(h.Key, List h.Value)) |> Array.ofSeq
        fun () ->
            diagnostics.Clear()
            diagnostics.AddRange found
            effects.Clear()
            effects.AddRange done'
            for table in tables .. evaluations - 1 do
                printed.Remove table |> ignore
            evaluations <- tables
            seen.Clear()
            seen.UnionWith told
            meanings ()
            cautions.Clear()
            cautions.AddRange careful
            notes.Clear()
            notes.AddRange noted
            p.Models.IntersectWith points
            p.Loops <- loops
            p.Vectors.IntersectWith differences
            homes.Clear()
            for entry in families do
                homes[entry.Key] <- entry.Value

    /// What `work` reports, which is taken back with all else that it did.
    member p.Trial(work: unit -> unit) : Diagnostic list =
        let undo = p.Mark()
        let count = diagnostics.Count
        // Also what has been reported before is an answer here.
        seen.Clear()
        try
            work ()
            diagnostics |> Seq.skip count |> List.ofSeq
        finally
            undo ()

    member _.NewTable() =
        evaluations <- evaluations + 1
        evaluations - 1

    member private _.MakeLate(number: LateNumber, extent) =
        let i =
            match lateNumbers.TryGetValue number with
            | true, i -> i
            | _ ->
                late.Add number
                lateNumbers[number] <- late.Count - 1
                late.Count - 1
        graph.Make(Op.Late(i, extent), [||], Span.None)

    /// A number that the run reads from a printed table.
    member p.LateNumber(table: int, from: FromTable) = p.MakeLate(OfTable(table, from), Extent.All)

    /// A number of a basis: itself where the basis is solved, else one that the run tells.
    member p.BasisNumber(basis: int, number: BasisNumber) =
        match solved.TryGetValue basis with
        | true, s -> graph.Make(s.Number number, [||], Span.None)
        | _ ->
            let extent =
                match number with
                | BasisNumber.Weight _
                | BasisNumber.Coefficient _ -> bases[basis].By
                | _ -> Extent.All
            p.MakeLate(OfBasis(basis, number), extent)

    /// The rules, by number.
    member _.Rules = rules

    /// A number that follows from others: itself where they are known, else one that the run tells.
    member p.Follow(needs: Node list, value: float list -> float) =
        let known = needs |> List.choose (fun n -> match n.Op with Const v -> Some v | _ -> None)
        if known.Length = needs.Length then graph.Const(value known)
        else
            rules.Add { Needs = needs; Value = value }
            p.MakeLate(OfRule(rules.Count - 1), Extent.All)

    /// Row spaces to compare, by number, and what is known of them: by tensor the mean cos² of the angles and the least of them.
    member _.AngleSets = angles
    member val Angles = Dictionary<int, IReadOnlyDictionary<string, struct (float * float)>>() with get

    member _.AddAngles(set: AngleSet) =
        match angles.FindIndex(fun s ->
                  s.Rank = set.Rank && s.Set = set.Set && s.Tensors = set.Tensors
                  && s.Sources.Length = set.Sources.Length
                  && List.forall2 (fun (a: TensorValue) (b: TensorValue) -> a.Node.Id = b.Node.Id) s.Sources set.Sources) with
        | -1 ->
            angles.Add set
            angles.Count - 1
        | i -> i

    /// A number that is known, as 1, once the angles are.
    member p.Angle(set: int) = p.MakeLate(OfAngles set, Extent.All)

    /// How alike two models answer, by the tables that a command prints of their outputs.
    member p.Likeness(table: int, name: string, other: int, otherName: string) = p.MakeLate(OfOutputs(table, name, other, otherName), Extent.All)

    /// The bases, by number: how each follows from what it is made of.
    member _.Bases = bases
    /// Those whose numbers are known.
    member _.Solved = solved

    /// Makes the numbers of a basis known now, from its Gram matrix; set by whoever can run a pass.
    member val Solve: int -> SolvedBasis = (fun _ -> invalidOp "nothing here can run a pass") with get, set

    /// The F# compiler, where the host has one; asked for the first time a text holds F#.
    member val FSharp: unit -> IFSharpHost option = (fun () -> None) with get, set
    /// What stops F# that runs while a text is checked.
    member val Stopping: unit -> CancellationToken = (fun () -> CancellationToken.None) with get, set
    /// Hears what that F# prints.
    member val HearFSharp: string -> unit = ignore with get, set

    /// The families that a task vector was taken from by name, so that it can be looked at in their bases.
    member _.Homes(node: Node) =
        match homes.TryGetValue node.Id with
        | true, found -> List.ofSeq found
        | _ -> []

    /// Remembers that a task vector is this member of the family.
    member _.AddHome(node: Node, name: string, family: (string * TensorValue) list) =
        match homes.TryGetValue node.Id with
        | true, found ->
            if not (found.Contains((name, family))) then
                found.Add((name, family))
        | _ -> homes[node.Id] <- List [ name, family ]

    /// The basis that a task vector comes back from, and which of its tasks it is; None where it is the task's own.
    member _.BasisOf(node: Node) =
        match fromBases.TryGetValue node.Id with
        | true, found -> Some found
        | _ -> None

    /// Remembers that a task vector is what a basis makes of one of its tasks.
    member _.AddFromBasis(node: Node, basis: int, task: int) = fromBases[node.Id] <- (basis, task)

    /// A number nobody knows: a parameter of a `def` checked on its own.
    member _.PlaceholderNumber() =
        placeholders <- placeholders + 1
        graph.Make(Op.Late(-placeholders, Extent.All), [||], Span.None)

    /// Tensors nobody knows, of the given weight.
    member p.PlaceholderTensor(weight: float) =
        placeholders <- placeholders + 1
        { Node = graph.Make(Op.Source -placeholders, [||], Span.None); Weight = graph.Const weight; Set = None }

    /// Keeps the statement that gives a name its meaning.
    member _.Remember(name: string, statement: string) = statements.Remember(name, statement)

    /// The statements that an expression rests on, then the expression: a text that says where a result comes from.
    member _.Provenance(expression: string) = statements.Provenance expression

    /// Inner products of adapters, from their factors.
    member val Products = Tva.Core.Adapters.FactorProducts() with get

    /// Files of numbers that the text has read: inputs like the sources.
    member val TablesRead = HashSet<string>() with get

    /// Keeps something worth knowing for whoever runs the program.
    member _.Note(text: string) =
        if not (notes.Contains text) then
            notes.Add text

    /// What has been noted and not told yet.
    member _.TakeNotes() =
        let all = List.ofSeq notes
        notes.Clear()
        all
