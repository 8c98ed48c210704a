/// Tensors over the vocabulary: from what config.json and tokenizer.json say of two sources to sources that list them alike.
module Tva.Dsl.Typing.Vocabularies

open Tva.Core
open Tva.Core.Checkpoints
open Tva.Core.Tensors
open Tva.Core.Vocabulary
open Tva.Dsl

/// An output layer that its configuration ties to the embedding is listed once, where both copies are the same; where they are not, says so.
let tieOnce (p: Program) (source: int) span =
    let s = p.Sources[source]
    match TiedWeights.Repeated s.Checkpoint with
    | null -> ()
    | tie when TiedWeights.AreEqual(s.Checkpoint, tie) ->
        p.Relist(source, TiedWeights.Without(s.Checkpoint, tie))
        p.Note $"{s.Path}: {tie.Head} is the same as {tie.Embedding.Name}, to which its config.json ties it, and is left out"
    | tie -> p.Report(FileDiagnostics.tiedDiffer s.Path tie.Head tie.Embedding.Name span)

let private give (p: Program) (source: int) (tie: Tie) whose =
    let s = p.Sources[source]
    p.Relist(source, TiedWeights.With(s.Checkpoint, tie))
    p.Note
        ($"{s.Path}: {tie.Head} is {tie.Embedding.Name}, to which its config.json ties it; {whose}, "
         + "so what is saved has one, too, and \"tie_word_embeddings\": false in its config.json (a single file's has to say so, too)")

/// Where an adapter changes the output layer of a source whose own is its embedding, gives the source one; whether it did.
let untieFor (p: Program) (source: int) (adapter: string) (modules: string list) =
    let ties = modules |> List.map (fun m -> if m.EndsWith ".weight" then m else m + ".weight") |> List.filter TiedWeights.IsHead |> List.choose (fun head -> TiedWeights.Missing(p.Sources[source].Checkpoint, head, null) |> Option.ofObj)
    for tie in ties do
        give p source tie $"{adapter} changes it"
    not ties.IsEmpty

/// Where one source has an output layer of its own and the other's is its embedding, gives the other that, too.
let untie (p: Program) (has: int) (lacks: int) =
    let heads =
        if p.Fit(has, lacks) then []
        else
            p.Tensors has |> Seq.filter (fun t -> TiedWeights.IsHead t.Name && isNull (box (p.Sources[lacks].Checkpoint.Find t.Name))) |> List.ofSeq
    try
        for head in heads do
            let s = p.Sources[lacks]
            match TiedWeights.Missing(s.Checkpoint, head.Name, head.Shape) with
            | null -> ()
            | tie -> give p lacks tie $"{p.Sources[has].Path} has one of its own"
    with :? FaultException as e -> p.Report(FileDiagnostics.cannotOpen e.Message Span.None)

/// Warns where two models of one shape have their tokens in other rows: sums of them would mix tokens.
let warnOfRows (p: Program) (a: int) (b: int) span =
    let folder i = if p.RowsByToken.ContainsValue i then None else Tokenizer.FolderOf p.Sources[i].Checkpoint |> Option.ofObj
    match folder a, folder b with
    | Some x, Some y when x <> y ->
        let moved =
            match p.MovedTokens.TryGetValue(struct (x, y)) with
            | true, known -> known
            | _ ->
                // Only to warn: what is wrong with a tokenizer is told where it is needed.
                let found = try List.ofSeq (Tokenizer.Moved(x, y)) with :? FaultException -> []
                p.MovedTokens[struct (x, y)] <- found
                p.MovedTokens[struct (y, x)] <- found
                found
        if not moved.IsEmpty then
            let found = FileDiagnostics.rowsOfOtherTokens p.Sources[a].Path p.Sources[b].Path moved span
            let turned = FileDiagnostics.rowsOfOtherTokens p.Sources[b].Path p.Sources[a].Path moved span
            if not (p.Diagnostics |> Seq.exists (fun d -> d.Message = found.Message || d.Message = turned.Message)) then
                p.Report found
    | _ -> ()

/// Whether the two fit but for the number of rows of some tensors, and both have a tokenizer that would tell the rows apart.
let differByRows (p: Program) (a: int) (b: int) =
    let ca, cb = p.Sources[a].Checkpoint, p.Sources[b].Checkpoint
    let row (t: TensorInfo) = t.DType.IsFloating(), List.ofSeq t.Shape.Dims |> List.skip (min 1 t.Shape.Dims.Count)
    let fits (t: TensorInfo) =
        match cb.Find t.Name with
        | null -> false
        | u -> t.Shape.Equals u.Shape || (t.Shape.Dims.Count > 0 && t.Shape.Dims.Count = u.Shape.Dims.Count && row t = row u)
    Seq.forall fits ca.Tensors && Tokenizer.IsIn(Tokenizer.FolderOf ca) && Tokenizer.IsIn(Tokenizer.FolderOf cb)

/// The source with the rows that the base has, by their tokens; a note says what that drops and leaves.
let byToken (p: Program) (source: int) (origin: int) (isVector: bool) =
    match p.RowsByToken.TryGetValue(struct (source, origin)) with
    | true, i -> i
    | _ ->
        let a, b = p.Sources[origin], p.Sources[source]
        let map = VocabularyMap.Between(a.Checkpoint, b.Checkpoint)
        p.Sources.Add { Checkpoint = map.View(a.Checkpoint, b.Checkpoint, isVector); Path = b.Path }
        let i = p.Sources.Count - 1
        p.RowsByToken[struct (source, origin)] <- i
        // Results are stored as the base is, though rows are read as float32 where types differ.
        p.Origins[i] <- origin
        let some (tokens: string seq) what = if Seq.isEmpty tokens then "" else $"; {Seq.length tokens} {what} ({Suggest.tokens tokens})"
        p.Note(
            $"{b.Path}: rows by token in {Suggest.listing map.Tensors}: {map.Shared} tokens of both, {map.Moved} of them in other rows"
            + some map.Dropped $"that {a.Path} lacks dropped"
            + some map.Kept $"that only {a.Path} has unchanged"
            + (if map.Padding = 0 then "" else $"; {map.Padding} rows without a token unchanged")
        )
        i
