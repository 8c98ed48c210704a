/// Keeps a basis as a folder: from its atoms and numbers to stacked safetensors and a `basis.json` that takes its name last.
namespace Tva.Dsl

open System
open System.Collections.Generic
open System.IO
open System.Security.Cryptography
open System.Text
open System.Text.Json
open Tva.Core
open Tva.Core.Bases
open Tva.Core.Checkpoints
open Tva.Core.Execution
open Tva.Core.Tensors
open Tva.Dsl.Graph
open Tva.Dsl.Typing

/// A basis on its way to a folder.
type BasisSave =
    { Basis: BasisValue
      Folder: string
      DType: DType
      Expression: string
      /// Tells this content's files from those of another basis in the same folder.
      Id: string
      /// Its stacked files.
      Saves: SaveRequest list
      /// Int8 only: by atom the scales of its rows.
      Scales: Node list
      /// By atom ‖δ‖² of what its stored form is off by, and ‖s‖²; nothing for float32.
      Rounding: (Node * Node) list }

module BasisSaving =

    let private file (s: BasisSave) kind = Path.Combine(s.Folder, $"{kind}-{s.Id}.safetensors")

    /// What has to be written and computed for a basis.
    let prepare (program: Program) (b: BasisValue) (folder: string) (dtype: DType) (expression: string) : BasisSave =
        let g = program.Graph
        let ctx = Context.afterwards program
        let apply name args = Context.apply ctx name Span.None args
        let dot (x: Node) = Builtins.Reductions.dot ctx Span.None Extent.All x x
        let text = String.Join("\n", expression, string dtype, Batch.inputs program [ for a in b.Atoms @ Option.toList b.Mean -> a.Node ])
        let id = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes text)).Substring(0, 12)
        // A row's largest magnitude is 127; what is left of the quotient's fraction goes to the nearest integer.
        let scale (x: Node) =
            let largest = g.Make(Reduce(ReduceKind.MaxAbs, Extent.Row), [| x |], Span.None)
            apply "where" [| apply "eq" [| largest; g.Const 0.0 |]; g.Const 1.0; apply "div" [| largest; g.Const 127.0 |] |]
        let codes (x: Node) =
            let nearest = apply "floor" [| apply "add" [| apply "div" [| x; scale x |]; g.Const 0.5 |] |]
            apply "clamp" [| nearest; g.Const -127.0; g.Const 127.0 |]
        let stored (x: Node) = if dtype = DType.I8 then codes x else x
        let off (x: Node) =
            if dtype = DType.I8 then apply "sub" [| apply "mul" [| codes x; scale x |]; x |]
            else apply "sub" [| apply "bf16" [| x |]; x |]
        let count = b.Atoms.Length
        let save name dtype (value: TensorValue) part parts : SaveRequest =
            { Value = value
              Path = Path.Combine(folder, $"{name}-{id}.safetensors")
              Types = Storage.All dtype
              Shard = None
              Provenance = expression
              Stack = Some(StackPart(part, parts)) }
        { Basis = b
          Folder = folder
          DType = dtype
          Expression = expression
          Id = id
          Saves =
            (b.Atoms |> List.mapi (fun m a -> save "atoms" dtype { a with Node = stored a.Node } m count))
            @ [ for m in Option.toList b.Mean -> save "mean" (if dtype = DType.I8 then DType.F32 else dtype) m 0 1 ]
          Scales = (if dtype = DType.I8 then b.Atoms |> List.map (fun a -> scale a.Node) else [])
          Rounding = (if dtype = DType.F32 then [] else b.Atoms |> List.map (fun a -> dot (off a.Node), dot a.Node)) }

    let numbers (s: BasisSave) = s.Scales @ (s.Rounding |> List.collect (fun (a, b) -> [ a; b ]))

    let private writeScales (program: Program) (s: BasisSave) (values: Node -> float[]) =
        let tensors = program.SetTensors(program.Bases[s.Basis.Number].Set) |> Seq.filter _.DType.IsFloating() |> Array.ofSeq
        let count = int64 s.Basis.Atoms.Length
        let metadata = Dictionary<string, string>()
        metadata["tva.kind"] <- "scales"
        use writer =
            new CheckpointWriter(file s "scales", [| for t in tensors -> struct (t.Name, DType.F32, Shape(count, t.Shape.Rows)) |], metadata)
        s.Scales |> List.iteri (fun m node ->
            let rows = values node
            let mutable at = 0
            tensors |> Array.iteri (fun t info ->
                let n = int info.Shape.Rows
                let bytes = Array.zeroCreate<byte> (n * 4)
                for r in 0 .. n - 1 do
                    BitConverter.TryWriteBytes(Span(bytes, r * 4, 4), float32 rows[at + r]) |> ignore
                writer.Write(t, int64 m * int64 (n * 4), ReadOnlySpan bytes)
                at <- at + n))
        writer.Commit()

    let private numberOrNull (json: Utf8JsonWriter) (v: float) = if Double.IsFinite v then json.WriteNumberValue v else json.WriteNullValue()

    let private matrix (json: Utf8JsonWriter) (name: string) (m: float[,]) =
        json.WriteStartArray name
        for r in 0 .. Array2D.length1 m - 1 do
            json.WriteStartArray()
            for c in 0 .. Array2D.length2 m - 1 do
                json.WriteNumberValue m[r, c]
            json.WriteEndArray()
        json.WriteEndArray()

    /// What the rounding of atoms adds to each member's relative error, the atoms' errors taken as independent.
    let private added (solved: SolvedBasis) (count: int) (squares: float list) : float[] =
        [| for t in 0 .. solved.Report.Norm.Length - 1 ->
               let norm = solved.Report.Norm[t]
               if norm = 0.0 || squares.IsEmpty then 0.0
               else
                   // Coefficients differ from group to group and rounding is known of the whole atom: the largest stands for all.
                   let share m = solved.Groups |> List.map (fun g -> g.Coefficients[m, t] ** 2.0) |> List.max
                   sqrt (Seq.sum (seq { for m in 0 .. count - 1 -> share m * squares[m] })) / norm |]

    let private writeJson (program: Program) (s: BasisSave) (squares: float list) (relative: float list) (stream: Stream) =
        let solved = program.Solved[s.Basis.Number]
        let d = program.Bases[s.Basis.Number]
        let count = s.Basis.Atoms.Length
        let report = solved.Report
        let more = added solved count squares
        // Rounding lengthens a member at a right angle, as far as is known of it.
        let cosine t =
            let length = report.Recovered[t]
            let off = more[t] * report.Norm[t]
            if off = 0.0 || not (length > 0.0) then report.Cosine[t] else report.Cosine[t] * length / sqrt (length * length + off * off)
        use json = new Utf8JsonWriter(stream, JsonWriterOptions(Indented = true))
        json.WriteStartObject()
        json.WriteString("format", BasisFolder.Format)
        json.WriteString("method", BasisMethods.Name d.Options.Method)
        json.WriteString("by", (string d.By).ToLowerInvariant())
        json.WriteNumber("atoms", count)
        json.WriteStartArray "tasks"
        d.Names |> List.iter json.WriteStringValue
        json.WriteEndArray()
        json.WriteStartObject "options"
        for name, value in Builtins.BasisArguments.optionTexts d.Options do
            json.WriteString((name: string), (value: string))
        json.WriteEndObject()
        let baseSource = program.Sources[d.Set.Reference]
        json.WriteStartObject "base"
        json.WriteString("path", baseSource.Path)
        json.WriteString("fingerprint", baseSource.Checkpoint.Fingerprint)
        json.WriteEndObject()
        json.WriteString("dtype", s.DType.Name())
        json.WriteStartObject "files"
        for kind in [ "atoms"; "scales"; "mean" ] do
            let path = file s kind
            if File.Exists path then
                use c = Checkpoint.Open path
                json.WriteStartObject(kind: string)
                json.WriteString("name", Path.GetFileName path)
                json.WriteString("fingerprint", c.Fingerprint)
                json.WriteEndObject()
        json.WriteEndObject()
        json.WriteStartObject "errors"
        d.Names |> List.iteri (fun t name ->
            json.WriteStartObject(name: string)
            json.WritePropertyName "norm"
            numberOrNull json report.Norm[t]
            json.WritePropertyName "relative_error"
            numberOrNull json (sqrt (report.RelativeError[t] ** 2.0 + more[t] ** 2.0))
            json.WritePropertyName "cosine"
            numberOrNull json (cosine t)
            json.WriteEndObject())
        json.WriteEndObject()
        json.WritePropertyName "loss"
        let square (f: int -> float) = Seq.sum (seq { for t in 0 .. d.Names.Length - 1 -> f t ** 2.0 })
        let rounding = square (fun t -> more[t] * report.Norm[t])
        numberOrNull json (if rounding = 0.0 then report.Loss else report.Loss + rounding / square (fun t -> report.Norm[t]))
        json.WritePropertyName "bound"
        numberOrNull json report.Bound
        if not relative.IsEmpty then
            json.WriteStartArray "rounding"
            relative |> List.iter (numberOrNull json)
            json.WriteEndArray()
        let given, _ = Builtins.Bases.bytes (Context.afterwards program) s.Basis
        json.WriteNumber("bytes_given", given)
        json.WriteNumber("bytes_kept", Seq.sum (seq { for kind in [ "atoms"; "scales"; "mean" ] do if File.Exists(file s kind) then FileInfo(file s kind).Length }))
        json.WriteStartArray "groups"
        for g in solved.Groups do
            json.WriteStartObject()
            json.WriteString("label", g.Label)
            // Of a published basis nobody knows it.
            if g.Gram |> Seq.cast<float> |> Seq.forall Double.IsFinite then
                matrix json "gram" g.Gram
            match d.Origin with
            | BasisOrigin.Tasks -> matrix json "encoder" (Array2D.init d.Names.Length count (fun t m -> g.Weights[t, m]))
            | _ -> ()
            // The mean's row is the last.
            matrix json "decoder" g.Coefficients
            json.WriteEndObject()
        json.WriteEndArray()
        json.WriteString("expression", s.Expression)
        json.WriteString("version", Batch.version)
        json.WriteEndObject()

    /// The files that the basis in the folder had before.
    let private before (folder: string) =
        try
            use json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, BasisFolder.FileName)))
            [ for f in json.RootElement.GetProperty("files").EnumerateObject() do
                  match f.Value.GetProperty("name").GetString() with
                  | null -> ()
                  | name when Path.GetFileName name = name -> Path.Combine(folder, name)
                  | _ -> () ]
        with _ -> []

    /// After the stacked files have their names: scales, then `basis.json`, which is what makes the new files the basis. Says what rounding costs.
    let finish (program: Program) (s: BasisSave) (values: Node -> float[]) : string option =
        let squares = s.Rounding |> List.map (fun (off, _) -> (values off)[0])
        let relative = s.Rounding |> List.map (fun (off, all) -> (let a = (values all)[0] in if a = 0.0 then 0.0 else sqrt ((values off)[0] / a)))
        if s.DType = DType.I8 then
            writeScales program s values
        let old = before s.Folder
        let target = Path.Combine(s.Folder, BasisFolder.FileName)
        try
            try
                (use stream = File.Create(target + ".partial")
                 writeJson program s squares relative stream
                 stream.Flush true)
                File.Move(target + ".partial", target, true)
            finally
                File.Delete(target + ".partial")
        with
        | :? IOException
        | :? UnauthorizedAccessException as e -> raise (FaultException($"{target}: can't be written: {e.Message}", e))
        for path in old do
            if not (path.EndsWith($"-{s.Id}.safetensors")) && path.EndsWith ".safetensors" then
                File.Delete path
        if relative.IsEmpty then None
        else
            let worst = List.max relative
            let shown = worst.ToString("0.#####", Globalization.CultureInfo.InvariantCulture)
            Some $"as {s.DType.Name()} an atom is off by at most {shown} of its norm"

    /// Takes back the stacked files of a basis that could not be finished, unless they belong to the one that is there.
    let discard (s: BasisSave) =
        let kept = before s.Folder
        for kind in [ "atoms"; "scales"; "mean" ] do
            let path = file s kind
            if not (List.contains path kept) && File.Exists path then
                File.Delete path
