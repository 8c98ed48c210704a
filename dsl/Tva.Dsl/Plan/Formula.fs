/// Kernels and scalars as a person reads them: from programs to infix text.
namespace Tva.Dsl.Plan

open System
open System.Collections.Generic
open System.Globalization
open System.IO
open Tva.Core.Execution
open Tva.Core.Kernels
open Tva.Core.Ops

module Formula =

    /// Longer texts are cut: a sum of a thousand models says what it is by its first terms.
    let private longest = 160

    let private cut (s: string) =
        if s.EndsWith "..." then s
        elif s.Length > longest then s.Substring(0, s.LastIndexOf(' ', longest - 10) |> max 60) + " ..."
        else s

    let number (v: float) = v.ToString("G6", CultureInfo.InvariantCulture)

    let private infix =
        dict [ "add", "+"; "sub", "-"; "mul", "*"; "div", "/"; "lt", "<"; "le", "<="; "gt", ">"; "ge", ">="; "eq", "=="; "ne", "!="; "and", "and"; "or", "or"; "pow", "^" ]

    /// A text and whether it wants brackets inside another.
    [<Struct>]
    type private Term = { Text: string; Open: bool }

    let private closed text = { Text = text; Open = false }
    let private group (t: Term) = if t.Open then $"({t.Text})" else t.Text

    /// `a + b`, `min(a, b)`; `fma(a, b, c)` as c + a * b.
    let private apply (op: int) (args: Term list) =
        let infixed text = { Text = text; Open = true }
        match OpTable.All[op].Name, args with
        | ("fma" | "add" | "sub"), _ when (List.exists (fun (a: Term) -> a.Text.EndsWith "...") args) ->
            args |> List.find (fun a -> a.Text.EndsWith "...")
        | "fma", [ a; b; c ] -> infixed $"{c.Text} + {group a} * {group b}"
        | "add", [ a; b ] -> infixed $"{a.Text} + {b.Text}"
        | "sub", [ a; b ] -> infixed $"{a.Text} - {group b}"
        | "neg", [ a ] -> infixed $"-{group a}"
        | name, [ a; b ] when infix.ContainsKey name -> infixed $"{group a} {infix[name]} {group b}"
        | name, args -> closed (name + "(" + String.Join(", ", args |> List.map _.Text) + ")")

    let private shorten (t: Term) = { t with Text = cut t.Text }

    /// Names for a plan's sources: file names, told apart by number where they are equal.
    let sourceNames (plan: ExecutionPlan) =
        let stems =
            plan.Sources |> Seq.map (fun s -> match Path.GetFileNameWithoutExtension(s.Path.TrimEnd('/', '\\')) with null | "" -> s.Path | stem -> stem) |> Array.ofSeq
        stems |> Array.mapi (fun i s -> if stems |> Array.filter ((=) s) |> Array.length > 1 then $"{s}#{i}" else s)

    /// Scalars as they appear in kernels, and the definitions of those that have a name because they are long.
    type Scalars =
        { /// With brackets where they are needed inside another.
          Texts: IReadOnlyList<string>
          Bare: IReadOnlyList<string>
          Definitions: string list }

    /// Longer numbers get a name of their own.
    let private longNumber = 40

    /// The text of each scalar; `r1.0` is reduction 0 of step 1, `l1.0` number 0 of loop 1.
    let scalars (plan: ExecutionPlan) : Scalars =
        let texts = List<Term>()
        let definitions = List<string>()
        let loops = Dictionary<ScalarLoop, int>(HashIdentity.Reference)
        let loop (l: ScalarLoop) =
            match loops.TryGetValue l with
            | true, i -> i
            | _ ->
                loops[l] <- loops.Count
                let starts = cut (String.Join(", ", [ for s in l.Starts -> texts[s].Text ]))
                let numbers = if l.Starts.Count = 1 then "1 number" else $"{l.Starts.Count} numbers"
                definitions.Add $"l{loops.Count - 1} = {l.Rounds} rounds of {numbers}, {l.Steps.Count} operations a round, from {starts}"
                loops.Count - 1
        for def in plan.Scalars do
            let term =
                match def with
                | :? StaticScalar as s when s.Extent = Extent.All -> closed (number s.Values[0])
                | :? StaticScalar as s when s.Values.Length = 0 -> closed "0"
                | :? StaticScalar as s -> closed $"[{number (Seq.min s.Values)}..{number (Seq.max s.Values)} by tensor]"
                | :? ReducedScalar as r -> closed $"r{r.Step}.{r.Reduction}"
                | :? ComputedScalar as c -> shorten (apply c.Op [ for i in [ c.A; c.B; c.C ] do if i >= 0 then texts[i] ])
                | :? LoopScalar as l -> closed $"l{loop l.Loop}.{l.State}"
                | _ -> closed "?"
            if term.Text.Length > longNumber && def :? ComputedScalar then
                definitions.Add $"s{texts.Count} = {term.Text}"
                texts.Add(closed $"s{texts.Count}")
            else
                texts.Add term
        { Texts = [| for t in texts -> group t |]; Bare = [| for t in texts -> t.Text |]; Definitions = List.ofSeq definitions }

    let private parameterText (scalars: IReadOnlyList<string>) (binding: ParameterBinding) =
        match binding with
        | :? ScalarParameter as p -> scalars[p.Scalar]
        | :? KeepParameter as k -> $"r{k.Step}.{k.Reduction}"
        | _ -> "?"

    /// A program as text: what is used twice goes to `line` under a name of its own, what is stored to `store`.
    let private program (code: IReadOnlyList<Instruction>) input parameter (prefix: string) (line: string -> unit) (store: int -> string -> unit) =
        let uses = Array.zeroCreate<int> code.Count
        for i in code do
            if i.Code <> Code.Guard then
                for o in [ i.A; i.B; i.C ] do
                    if o >= 0 then
                        uses[o] <- uses[o] + 1
        let terms = Array.create code.Count (closed "")
        for i in 0 .. code.Count - 1 do
            let c = code[i]
            let args = [ for o in [ c.A; c.B; c.C ] do if o >= 0 then terms[o] ]
            let term =
                match c.Code with
                | Code.Load -> closed (input c.Index)
                | Code.Const -> closed (number (float c.Value))
                | Code.Param -> closed (parameter c.Index)
                | Code.Apply -> shorten (apply c.Index args)
                | Code.Keep -> closed $"keep({args.Head.Text}, {parameter c.Index})"
                | Code.Store ->
                    store c.Index args.Head.Text
                    closed ""
                | _ -> closed ""
            terms[i] <- term
            if uses[i] > 1 && term.Text.Contains ' ' && (c.Code = Code.Apply || c.Code = Code.Keep) then
                terms[i] <- closed $"{prefix}{i}"
                line $"{prefix}{i} = {term.Text}"

    /// The lines of a kernel: what is used twice has a name, then one line per output.
    let kernel (names: string[]) (scalars: IReadOnlyList<string>) (outputName: int -> string) (kernel: ClassKernel) : string list =
        let lines = List<string>()
        let parameter (bindings: IReadOnlyList<ParameterBinding>) i =
            match bindings[i] with
            | :? ScalarParameter as p -> scalars[p.Scalar]
            | :? KeepParameter as k -> $"r{k.Step}.{k.Reduction}"
            | _ -> "?"
        let rec input i =
            match kernel.Inputs[i] with
            | :? FileInput as f -> names[f.Source]
            | :? RandomInput as r -> $"uniform({scalars[r.Seed]})"
            | :? RowInput as r -> $"{scalars[r.Scalar]}[row]"
            | :? MatrixInput as m -> $"m{m.Step}.{m.Matrix}"
            | :? RankInput as r ->
                let mutable text = ""
                program r.Program.Instructions (fun k -> input r.Inputs[k]) (parameter r.Parameters) $"t{i}." lines.Add (fun _ t -> text <- t)
                if r.Extent = Extent.Row then $"rank({text})" else $"rank({text} by tensor)"
            | _ -> "?"
        program kernel.Program.Instructions input (parameter kernel.Parameters) "t" lines.Add (fun o text -> lines.Add $"{outputName o} = {text}")
        List.ofSeq lines
