/// Gram matrices kept beside the files they were computed from: from dot products to a key, and from a key to numbers of an earlier run.
namespace Tva.Dsl

open System
open System.Collections.Generic
open System.Globalization
open System.IO
open System.Security.Cryptography
open System.Text
open System.Text.Json
open Tva.Core.Ops
open Tva.Dsl.Graph
open Tva.Dsl.Typing

module GramCache =

    let private format = "tva-gram 1"

    /// The expressions as a text in which files stand by their content; nothing where they hold numbers of a run.
    let private describe (program: Program) (dots: Node list) : string option =
        let b = StringBuilder()
        let place = Dictionary<int, int>()
        let nodes = reachable dots
        let text (n: Node) =
            match n.Op with
            | Const v -> Some(v.ToString("R", CultureInfo.InvariantCulture))
            | Source i -> Some("file " + program.Sources[i].Checkpoint.Fingerprint)
            | Apply op -> Some(OpTable.All[op].Name)
            | Linear -> Some "sum"
            | Restrict s -> Some("restrict " + TensorScope.text s)
            | Choose scopes -> Some("choose " + String.Join(", ", scopes |> List.map TensorScope.text))
            | Ramp -> Some "ramp"
            | Numel e -> Some $"numel {e}"
            | Reduce(kind, e) -> Some $"{kind} {e}"
            | Keep -> Some "keep"
            | Drop None -> Some "drop"
            | Matrix kind -> Some $"matrix {kind}"
            | Rank e -> Some $"rank {e}"
            | Drop(Some _)
            | Late _
            | Given _
            | Carried _
            | Loop _ -> None
        let texts = nodes |> Seq.map text |> Array.ofSeq
        if texts |> Array.exists Option.isNone then None
        else
            nodes |> Seq.iteri (fun i n ->
                place[n.Id] <- i
                b.Append(texts[i].Value) |> ignore
                for a in n.Args do
                    b.Append(' ').Append(place[a.Id]) |> ignore
                b.Append('\n') |> ignore)
            for d in dots do
                b.Append(place[d.Id]).Append(' ') |> ignore
            Some(b.ToString())

    let private sources (program: Program) (dots: Node list) =
        reachable dots |> Seq.choose (fun n -> match n.Op with Source i -> Some i | _ -> None) |> Seq.distinct |> List.ofSeq

    /// Where the numbers of these dot products are kept, and under which key; nothing where they can't be.
    let private find (program: Program) (dots: Node list) =
        match describe program dots, sources program dots with
        | Some text, (_ :: _ as sources) ->
            let key = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(format + "\n" + text)))
            // Beside the family rather than beside its base, which is often somebody else's.
            let home = sources |> List.tryFind (program.Models.Contains >> not) |> Option.defaultValue sources.Head
            match Path.GetDirectoryName program.Sources[home].Checkpoint.Files[0] with
            | null -> None
            | folder -> Some(Path.Combine(folder, $".tva-gram-{key.Substring(0, 16)}.json"), key, sources)
        | _ -> None

    /// A fingerprint looks at samples of a file; a file touched since the numbers were written is looked at in full again.
    let private isFresh (program: Program) sources (file: string) =
        let written = File.GetLastWriteTimeUtc file
        sources |> List.forall (fun (i: int) -> program.Sources[i].Checkpoint.Files |> Seq.forall (fun f -> File.GetLastWriteTimeUtc f <= written))

    /// Tells what was written from what a damaged disk or a careless hand has made of it.
    let private sum (labels: string seq) (values: float seq seq) =
        let text (v: float) = v.ToString("R", CultureInfo.InvariantCulture)
        let lines = seq { yield! labels; for row in values do String.Join(' ', row |> Seq.map text) }
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(String.Join('\n', lines))))

    /// The values of the dot products with their labels, if an earlier run has left them. A damaged file is as good as none.
    let tryRead (program: Program) (dots: Node list) : (string * float) list list option =
        try
            match find program dots with
            | Some(file, key, sources) when File.Exists file && isFresh program sources file ->
                use json = JsonDocument.Parse(File.ReadAllBytes file)
                let root = json.RootElement
                let labels = [ for l in root.GetProperty("labels").EnumerateArray() -> match l.GetString() with null -> raise (FormatException "a label is null") | text -> text ]
                let values = [ for row in root.GetProperty("dots").EnumerateArray() -> [ for v in row.EnumerateArray() -> v.GetDouble() ] ]
                if root.GetProperty("key").GetString() = key
                   && values.Length = dots.Length
                   && values |> List.forall (fun row -> row.Length = labels.Length)
                   && root.GetProperty("sum").GetString() = sum labels (values |> Seq.map Seq.ofList)
                then Some(values |> List.map (List.zip labels))
                else None
            | _ -> None
        with
        | :? IOException
        | :? UnauthorizedAccessException
        | :? JsonException
        | :? KeyNotFoundException
        | :? InvalidOperationException
        | :? FormatException -> None

    /// Leaves the values for later runs; where that can't be done, later runs compute them again.
    let write (program: Program) (dots: Node list) (values: (string * float) list list) =
        let finite = values |> List.forall (List.forall (fun (_, v) -> Double.IsFinite v))
        let sameLabels = values |> List.forall (fun row -> List.map fst row = List.map fst values.Head)
        match find program dots with
        | Some(file, key, _) when finite && sameLabels ->
            let partial = $"{file}.{Environment.ProcessId}.partial"
            try
                try
                    (use stream = File.Create partial
                     use json = new Utf8JsonWriter(stream)
                     json.WriteStartObject()
                     json.WriteString("format", format)
                     json.WriteString("key", key)
                     json.WriteStartArray "labels"
                     for label, _ in values.Head do
                         json.WriteStringValue label
                     json.WriteEndArray()
                     json.WriteStartArray "dots"
                     for row in values do
                         json.WriteStartArray()
                         for _, v in row do
                             json.WriteNumberValue v
                         json.WriteEndArray()
                     json.WriteEndArray()
                     json.WriteString("sum", sum (values.Head |> Seq.map fst) (values |> Seq.map (Seq.map snd)))
                     json.WriteEndObject())
                    File.Move(partial, file, true)
                finally
                    File.Delete partial
            with
            | :? IOException
            | :? UnauthorizedAccessException -> ()
        | _ -> ()
