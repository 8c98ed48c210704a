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

    let private group (s: string) = if s.Contains ' ' && not (s.EndsWith ")" && s.IndexOf '(' > 0 && s.LastIndexOf '(' = s.IndexOf '(' && s.IndexOf ' ' > s.IndexOf '(') then $"({s})" else s

    /// `a + b`, `min(a, b)`; `fma(a, b, c)` as c + a * b.
    let private apply (op: int) (args: string list) =
        let name = OpTable.All[op].Name
        match name, args with
        | "fma", [ a; b; c ] -> if c.EndsWith "..." then c else $"{c} + {group a} * {group b}"
        | ("add" | "sub"), [ a; b ] when a.EndsWith "..." -> a
        | "add", [ a; b ] -> $"{a} + {b}"
        | "sub", [ a; b ] -> $"{a} - {group b}"
        | "neg", [ a ] -> $"-{group a}"
        | _, [ a; b ] when infix.ContainsKey name -> $"{group a} {infix[name]} {group b}"
        | _ -> name + "(" + String.Join(", ", args) + ")"

    /// Names for a plan's sources: file names, told apart by number where they are equal.
    let sourceNames (plan: ExecutionPlan) =
        let stems =
            plan.Sources |> Seq.map (fun s -> match Path.GetFileNameWithoutExtension(s.Path.TrimEnd('/', '\\')) with null | "" -> s.Path | stem -> stem) |> Array.ofSeq
        stems |> Array.mapi (fun i s -> if stems |> Array.filter ((=) s) |> Array.length > 1 then $"{s}#{i}" else s)

    /// The text of each scalar; `r1.0` is reduction 0 of step 1.
    let scalars (plan: ExecutionPlan) =
        let texts = List<string>()
        for def in plan.Scalars do
            texts.Add(
                match def with
                | :? StaticScalar as s when s.Extent = Extent.All -> number s.Values[0]
                | :? StaticScalar as s when s.Values.Length = 0 -> "0"
                | :? StaticScalar as s -> $"[{number (Seq.min s.Values)}..{number (Seq.max s.Values)} by tensor]"
                | :? ReducedScalar as r -> $"r{r.Step}.{r.Reduction}"
                | :? ComputedScalar as c -> cut (apply c.Op [ for i in [ c.A; c.B; c.C ] do if i >= 0 then texts[i] ])
                | _ -> "?")
        texts

    /// The lines of a kernel: what is used twice has a name, then one line per output.
    let kernel (names: string[]) (scalars: IReadOnlyList<string>) (outputName: int -> string) (kernel: ClassKernel) : string list =
        let code = kernel.Program.Instructions
        let uses = Array.zeroCreate<int> code.Count
        for i in code do
            if i.Code <> Code.Guard then
                for o in [ i.A; i.B; i.C ] do
                    if o >= 0 then
                        uses[o] <- uses[o] + 1
        let input i =
            match kernel.Inputs[i] with
            | :? FileInput as f -> names[f.Source]
            | :? RandomInput as r -> $"uniform({scalars[r.Seed]})"
            | :? RowInput as r -> $"{group scalars[r.Scalar]}[row]"
            | _ -> "?"
        let parameter i =
            match kernel.Parameters[i] with
            | :? ScalarParameter as p -> scalars[p.Scalar]
            | :? KeepParameter as k -> $"r{k.Step}.{k.Reduction}"
            | _ -> "?"
        let texts = Array.create code.Count ""
        let lines = List<string>()
        for i in 0 .. code.Count - 1 do
            let c = code[i]
            let args = [ for o in [ c.A; c.B; c.C ] do if o >= 0 then texts[o] ]
            let text =
                match c.Code with
                | Code.Load -> input c.Index
                | Code.Const -> number (float c.Value)
                | Code.Param -> parameter c.Index
                | Code.Apply -> cut (apply c.Index args)
                | Code.Keep -> $"keep({args.Head}, {parameter c.Index})"
                | Code.Store ->
                    lines.Add $"{outputName c.Index} = {args.Head}"
                    ""
                | _ -> ""
            texts[i] <- text
            if uses[i] > 1 && text.Contains ' ' && (c.Code = Code.Apply || c.Code = Code.Keep) then
                texts[i] <- $"t{i}"
                lines.Add $"t{i} = {text}"
        List.ofSeq lines
