/// Rows of embeddings and output layers taken by token: by hand-made tokenizers and what float64 has of the difference.
module Tva.Dsl.Tests.VocabularyTests

open System
open System.IO
open System.Text.Json
open Tva.Dsl
open Xunit
open Tva.Dsl.Tests.Scripts
open Tva.Dsl.Tests.BasisSupport
open Tva.Dsl.Tests.Written

type private Form =
    | Bpe
    | WordPiece
    | Unigram
    | Plain

let private quoted (t: string) = JsonSerializer.Serialize t

let private map (tokens: (string * int) list) = "{" + String.Join(",", [ for t, id in tokens -> $"{quoted t}:{id}" ]) + "}"

/// The tokens of a model, in the order of their ids from 0, and those added to them.
let private tokenizer (folder: string) form (tokens: string list) (added: (string * int) list) =
    Directory.CreateDirectory folder |> ignore
    let special = "[" + String.Join(",", [ for t, id in added -> $"{{\"id\":{id},\"content\":{quoted t},\"special\":true}}" ]) + "]"
    let write name (text: string) = File.WriteAllText(Path.Combine(folder, name), text)
    let main kind vocab = write "tokenizer.json" $"{{\"version\":\"1.0\",\"added_tokens\":{special},\"model\":{{\"type\":\"{kind}\",\"vocab\":{vocab}}}}}"
    let byId = tokens |> List.mapi (fun i t -> t, i)
    match form with
    // In no order, as files have them.
    | Bpe -> main "BPE" (map (List.rev byId))
    | WordPiece -> main "WordPiece" (map byId)
    | Unigram -> main "Unigram" ("[" + String.Join(",", [ for t in tokens -> $"[{quoted t},-1.5]" ]) + "]")
    | Plain ->
        write "vocab.json" (map byId)
        write "added_tokens.json" (map added)

let private width = 3

/// Row r of a tensor of this seed: no two alike.
let private row seed r = [ for c in 0 .. width - 1 -> float (seed * 1000 + 10 * r + c) / 8.0 ]

let private rowsOf seed count = [ 0 .. count - 1 ] |> List.collect (row seed)

let private model (folder: string) seed count =
    save (Path.Combine(folder, "model.safetensors"))
        [ f32 "model.embed_tokens.weight" [ count; width ] (rowsOf seed count)
          f32 "lm_head.weight" [ count; width ] (rowsOf (seed + 1) count)
          f32 "model.layers.0.mlp.weight" [ 2; width ] (rowsOf (seed + 2) 2) ]

let private notes (ran: Ran) = ran.Events |> List.choose (function Event.Noted n -> Some n | _ -> None)

/// τ by hand: rows of tokens that both have subtracted, the others zero.
let private expected (baseSeed: int) (seed: int) (rows: (int * int) list) count : float[] =
    [| for r in 0 .. count - 1 do
           match List.tryFind (fun (b, _) -> b = r) rows with
           | Some(b, t) -> yield! List.map2 (fun x y -> y - x) (row baseSeed b) (row seed t)
           | None -> yield! List.replicate width 0.0 |]

/// base has a, b, c, d, </s> and two rows without a token; tuned has b, a, <new>, d, </s> and <pad>.
let private make (temp: TempFolder) form =
    tokenizer (temp.File "base") form [ "a"; "b"; "c"; "d" ] [ "</s>", 4 ]
    model (temp.File "base") 1 7
    tokenizer (temp.File "tuned") form [ "b"; "a"; "<new>"; "d" ] [ "</s>", 5; "<pad>", 4 ]
    model (temp.File "tuned") 5 6

let private pairs = [ 0, 1; 1, 0; 3, 3; 4, 5 ]

let forms () = TheoryData<string>([ "Bpe"; "WordPiece"; "Unigram"; "Plain" ])

let private parse name = match name with "Bpe" -> Bpe | "WordPiece" -> WordPiece | "Unigram" -> Unigram | _ -> Plain

[<Theory>]
[<MemberData(nameof forms)>]
let ``rows of the same token are subtracted, tokens that one side lacks change nothing`` (form: string) =
    use temp = new TempFolder()
    make temp (parse form)
    let ran = runOk temp.Path "base = model(\"base\")\nA = delta(\"tuned\", base, vocab = \"by-token\")\nA |> save(\"A.safetensors\")\nbase + 0.5 * A |> save(\"m.safetensors\")"
    let A = read (temp.File "A.safetensors")
    Assert.Equal<float[]>(expected 1 5 pairs 7, A["model.embed_tokens.weight"])
    Assert.Equal<float[]>(expected 2 6 pairs 7, A["lm_head.weight"])
    Assert.Equal<float[]>(expected 3 7 [ 0, 0; 1, 1 ] 2, A["model.layers.0.mlp.weight"])
    let m = read (temp.File "m.safetensors")
    Assert.Equal<float[]>(Array.map2 (fun x d -> x + 0.5 * d) (Array.ofList (rowsOf 1 7)) A["model.embed_tokens.weight"], m["model.embed_tokens.weight"])
    Assert.Equal<string list>(
        [ "tuned: rows by token in lm_head.weight, model.embed_tokens.weight: 4 tokens of both, 3 of them in other rows; 2 that base lacks dropped (`<new>`, `<pad>`); 1 that only base has unchanged (`c`); 2 rows without a token unchanged" ],
        notes ran)
    // Every row is read once, of the one file or the other.
    let bytes = passes ran |> List.map (fun (_, r, _) -> r)
    Assert.Equal<int64 list>([ int64 (2 * (7 + 7) * width * 4 + 2 * 2 * width * 4) ], bytes)

[<Fact>]
let ``a family takes its rows by token, member by member`` () =
    use temp = new TempFolder()
    make temp Bpe
    Directory.Move(temp.File "tuned", temp.File "x")
    Directory.CreateDirectory(temp.File "tasks") |> ignore
    Directory.Move(temp.File "x", temp.File "tasks/one")
    tokenizer (temp.File "tasks/two") Unigram [ "d"; "c" ] []
    model (temp.File "tasks/two") 8 2
    runOk temp.Path "base = model(\"base\")\nsum(family(\"tasks/*\", base, vocab = \"by-token\")) |> save(\"s.safetensors\")" |> ignore
    let s = (read (temp.File "s.safetensors"))["model.embed_tokens.weight"]
    Assert.Equal<float[]>(Array.map2 (+) (expected 1 5 pairs 7) (expected 1 8 [ 3, 0; 2, 1 ] 7), s)

[<Fact>]
let ``vocabularies of one size in another order go by token as well`` () =
    use temp = new TempFolder()
    tokenizer (temp.File "base") WordPiece [ "a"; "b"; "c" ] []
    model (temp.File "base") 1 3
    tokenizer (temp.File "tuned") WordPiece [ "c"; "a"; "b" ] []
    model (temp.File "tuned") 5 3
    let A options = run temp.Path $"delta(\"tuned\", model(\"base\"){options}) |> save(\"A.safetensors\")" |> ignore; (read (temp.File "A.safetensors"))["model.embed_tokens.weight"]
    Assert.Equal<float[]>(expected 1 5 [ 0, 0; 1, 1; 2, 2 ] 3, A "")
    Assert.Equal<float[]>(expected 1 5 [ 0, 1; 1, 2; 2, 0 ] 3, A ", vocab = \"by-token\"")
    // The others, though as high as the vocabulary, are no tensors over it.
    Assert.Equal<float[]>(expected 3 7 [ 0, 0; 1, 1 ] 2, (read (temp.File "A.safetensors"))["model.layers.0.mlp.weight"])

[<Fact>]
let ``types may differ, task vectors stay what they are, and tensors of any name follow the embeddings' rows`` () =
    use temp = new TempFolder()
    make temp Bpe
    save (temp.File "base/model.safetensors") [ bf16 "wte.weight" [ 7; 1 ] [ 1.0; 2.0; 3.0; 4.0; 5.0; 6.0; 7.0 ]; f32 "head.b" [ 7 ] [ 0.0; 1.0; 2.0; 3.0; 4.0; 5.0; 6.0 ] ]
    save (temp.File "tuned/model.safetensors") [ f32 "wte.weight" [ 6; 1 ] [ 1.5; 2.5; 3.5; 4.5; 5.5; 6.5 ]; f32 "head.b" [ 6 ] [ 10.0; 20.0; 30.0; 40.0; 50.0; 60.0 ] ]
    runOk temp.Path "d = delta(\"tuned\", model(\"base\"), vocab = \"by-token\")\nd |> save(\"A.safetensors\", dtype = \"f32\")" |> ignore
    let A = read (temp.File "A.safetensors")
    Assert.Equal<float[]>([| 1.5; -0.5; 0.0; 0.5; 1.5; 0.0; 0.0 |], A["wte.weight"])
    Assert.Equal<float[]>([| 20.0; 9.0; 0.0; 37.0; 56.0; 0.0; 0.0 |], A["head.b"])

[<Fact>]
let ``a large vocabulary in scattered rows is the same in any blocks`` () =
    use temp = new TempFolder()
    let count = 40_000
    let tokens = [ for i in 0 .. count - 1 -> $"t{i}" ]
    // 7919 is prime, so this is a permutation of the even ones, with runs of odd ones left in place.
    let order = [ for i in 0 .. count - 1 -> if i % 2 = 1 then i else 2 * (i / 2 * 7919 % (count / 2)) ]
    tokenizer (temp.File "base") Bpe tokens []
    tokenizer (temp.File "tuned") Bpe [ for i in order -> $"t{i}" ] []
    for name, seed in [ "base", 1; "tuned", 3 ] do
        save (temp.File $"{name}/model.safetensors") [ f32 "wte.weight" [ count; 7 ] [ for i in 0 .. count * 7 - 1 -> float ((i * seed) % 1013) ] ]
    let settings threads memory = { uncached with Threads = threads; Memory = memory }
    for threads, memory in [ 1, 64L <<< 20; 2, 512L <<< 20 ] do
        runAs (settings threads memory) temp.Path "delta(\"tuned\", model(\"base\"), vocab = \"by-token\") |> save(\"A.safetensors\")" |> ignore
        let A = (read (temp.File "A.safetensors"))["wte.weight"]
        order |> List.iteri (fun place token ->
            for c in 0..6 do
                let want = float (((place * 7 + c) * 3) % 1013) - float ((token * 7 + c) % 1013)
                if A[token * 7 + c] <> want then
                    Assert.Fail $"row {token} is {A[token * 7 + c]} at {c}, and should be {want}")

let private found (temp: TempFolder) text = findings temp.Path $"base = model(\"base\")\n{text}"

[<Fact>]
let ``another number of rows is a mismatch whose help names the way out`` () =
    use temp = new TempFolder()
    make temp Bpe
    for text in [ "A = delta(\"tuned\", base)"; "B = model(\"tuned\") - base" ] do
        let d = runWith (optionsOf uncached) temp.Path $"base = model(\"base\")\n{text}"
        Assert.Equal<(string * string option) list>(
            [ "TVA0502", Some "`delta(path, base, vocab = \"by-token\")` takes the rows by their tokens: both folders have a tokenizer" ],
            d.Diagnostics |> List.map (fun d -> d.Code, d.Help))
    File.Delete(temp.File "tuned/tokenizer.json")
    let d = runWith (optionsOf uncached) temp.Path "A = delta(\"tuned\", model(\"base\"))"
    Assert.DoesNotContain("by-token", (d.Diagnostics |> List.exactlyOne).Help |> Option.defaultValue "")

[<Fact>]
let ``a computed base has no rows by token`` () =
    use temp = new TempFolder()
    make temp Bpe
    Assert.Equal<string list>([ "TVA0541" ], found temp "A = delta(\"tuned\", 0.5 * base + 0.5 * model(\"base/model.safetensors\"), vocab = \"by-token\")" |> List.map fst)
    Assert.Equal<string list>([ "TVA0324" ], found temp "A = delta(\"tuned\", base, vocab = \"tokens\")" |> List.map fst)

let hostile () =
    TheoryData<string, string>(
        [ struct ("", "is no JSON")
          struct ("{\"model\":{\"vocab\":{\"a\":0,", "is no JSON")
          struct ("[]", "should hold one object")
          struct ("{}", "has no model.vocab")
          struct ("{\"model\":{\"vocab\":7}}", "neither token to id nor a list")
          struct ("{\"model\":{\"vocab\":{}}}", "has no tokens")
          struct ("{\"model\":{\"vocab\":{\"a\":99}}}", "'a' has the id 99, and 'lm_head.weight' has 6 rows")
          struct ("{\"model\":{\"vocab\":{\"a\":-1}}}", "the id of 'a' is '-1'")
          struct ("{\"model\":{\"vocab\":{\"a\":1.5}}}", "the id of 'a' is '1.5'")
          struct ("{\"model\":{\"vocab\":{\"a\":99999999999}}}", "the id of 'a' is '99999999999'")
          struct ("{\"model\":{\"vocab\":{\"a\":0,\"b\":0}}}", "'a' and 'b' have one id, 0")
          struct ("{\"model\":{\"vocab\":{\"a\":0,\"a\":1}}}", "'a' has two ids, 0 and 1")
          struct ("{\"model\":{\"vocab\":{\"a\":0}},\"added_tokens\":[{\"id\":1,\"content\":\"a\"}]}", "'a' has two ids, 0 and 1")
          struct ("{\"model\":{\"vocab\":{\"a\":0}},\"added_tokens\":[{\"id\":0}]}", "no id and content")
          struct ("{\"model\":{\"vocab\":{\"a\":0}},\"added_tokens\":{}}", "added_tokens is no list")
          struct ("{\"model\":{\"vocab\":[[\"a\",0],[3,0]]}}", "entry 1 of model.vocab is no [token, score]")
          struct ("{\"model\":{\"vocab\":{\"\\ud800\":0}}}", "half a surrogate pair") ]
        |> Seq.map (fun (struct (a, b)) -> TheoryDataRow<string, string>(a, b)))

[<Theory>]
[<MemberData(nameof hostile)>]
let ``a damaged tokenizer is a fault that says where`` (json: string) (message: string) =
    use temp = new TempFolder()
    make temp Bpe
    File.WriteAllText(temp.File "tuned/tokenizer.json", json)
    match found temp "A = delta(\"tuned\", base, vocab = \"by-token\")" with
    | [ "TVA0501", fault ] ->
        Assert.Contains(message, fault)
        Assert.Contains("tuned/tokenizer.json", fault)
    | other -> Assert.Fail $"{other}"

[<Fact>]
let ``an embedding may have more rows without a token than the output layer`` () =
    use temp = new TempFolder()
    make temp Bpe
    let write name seed count more =
        save (temp.File $"{name}/model.safetensors")
            [ f32 "model.embed_tokens.weight" [ count + more; width ] (rowsOf seed (count + more)); f32 "lm_head.weight" [ count; width ] (rowsOf (seed + 1) count) ]
    write "base" 1 5 3
    write "tuned" 5 6 1
    runOk temp.Path "delta(\"tuned\", model(\"base\"), vocab = \"by-token\") |> save(\"A.safetensors\")" |> ignore
    let A = read (temp.File "A.safetensors")
    Assert.Equal<float[]>(expected 1 5 pairs 8, A["model.embed_tokens.weight"])
    Assert.Equal<float[]>(expected 2 6 pairs 5, A["lm_head.weight"])

[<Fact>]
let ``where no tensor has a name of embeddings those that differ in rows alone are taken for them`` () =
    use temp = new TempFolder()
    make temp Bpe
    save (temp.File "base/model.safetensors") [ f32 "e" [ 7; width ] (rowsOf 1 7); f32 "w" [ 2 ] [ 1.0; 2.0 ] ]
    save (temp.File "tuned/model.safetensors") [ f32 "e" [ 6; width ] (rowsOf 5 6); f32 "w" [ 2 ] [ 1.0; 3.0 ] ]
    runOk temp.Path "delta(\"tuned\", model(\"base\"), vocab = \"by-token\") |> save(\"A.safetensors\")" |> ignore
    Assert.Equal<float[]>(expected 1 5 pairs 7, (read (temp.File "A.safetensors"))["e"])

[<Fact>]
let ``an added token that the model has already is one token`` () =
    use temp = new TempFolder()
    make temp Bpe
    tokenizer (temp.File "tuned") Bpe [ "a"; "b"; "c"; "d"; "</s>" ] [ "</s>", 4 ]
    let ran = runOk temp.Path "norm(delta(\"tuned\", model(\"base\"), vocab = \"by-token\"))"
    Assert.Contains("5 tokens of both, 0 of them in other rows", List.exactlyOne (notes ran))

[<Fact>]
let ``what can't be mapped is a fault`` () =
    use temp = new TempFolder()
    make temp Bpe
    let fault () = found temp "A = delta(\"tuned\", base, vocab = \"by-token\")" |> List.exactlyOne
    File.Delete(temp.File "tuned/tokenizer.json")
    Assert.Contains("has no tokenizer.json and no vocab.json", snd (fault ()))
    make temp Bpe
    save (temp.File "tuned/model.safetensors") [ f32 "model.embed_tokens.weight" [ 6; width ] (rowsOf 5 6); f32 "lm_head.weight" [ 5; width ] (rowsOf 5 5) ]
    Assert.Contains("'</s>' has the id 5, and 'lm_head.weight' has 5 rows", snd (fault ()))
    for name in [ "base"; "tuned" ] do
        save (temp.File $"{name}/model.safetensors") [ f32 "w" [ 2 ] [ 1.0; 2.0 ] ]
    Assert.Contains("no tensor that it shares with", snd (fault ()))

[<Fact>]
let ``a tokenizer too large for one is a fault`` () =
    use temp = new TempFolder()
    make temp Bpe
    (use file = File.Create(temp.File "tuned/tokenizer.json") in file.SetLength(300L <<< 20))
    Assert.Contains("more than the 256 MiB such a file may have", found temp "A = delta(\"tuned\", base, vocab = \"by-token\")" |> List.exactlyOne |> snd)

[<Fact>]
let ``a tied output layer goes by token, too`` () =
    use temp = new TempFolder()
    make temp Bpe
    save (temp.File "base/model.safetensors") [ f32 "model.embed_tokens.weight" [ 7; width ] (rowsOf 1 7); f32 "model.layers.0.mlp.weight" [ 2; width ] (rowsOf 3 2) ]
    File.WriteAllText(temp.File "base/config.json", "{ \"tie_word_embeddings\": true }")
    runOk temp.Path "delta(\"tuned\", model(\"base\"), vocab = \"by-token\") |> save(\"A.safetensors\")" |> ignore
    Assert.Equal<float[]>(expected 1 6 pairs 7, (read (temp.File "A.safetensors"))["lm_head.weight"])

[<Fact>]
let ``tokens in other rows are told of where rows are taken as they stand`` () =
    use temp = new TempFolder()
    tokenizer (temp.File "base") Bpe [ "a"; "b"; "c" ] [ "</s>", 3 ]
    tokenizer (temp.File "same") Bpe [ "a"; "b"; "c" ] [ "</s>", 3 ]
    // Another file, but the same ids.
    tokenizer (temp.File "form") Plain [ "a"; "b"; "c" ] [ "</s>", 3 ]
    tokenizer (temp.File "moved") Bpe [ "a"; "c"; "b" ] [ "<pad>", 3 ]
    for i, name in List.indexed [ "base"; "same"; "form"; "moved" ] do
        model (temp.File name) (3 * i + 1) 4
    let warned text = (run temp.Path ("base = model(\"base\")\n" + text)).Diagnostics |> List.map (fun d -> d.Code, d.Message)
    let expected other = [ "TVA0542", $"base and {other} give 2 tokens unlike rows (`b`, `c`), and their rows are taken as they stand" ]
    Assert.Equal<(string * string) list>([], warned "0.5 * base + 0.25 * model(\"same\") + 0.25 * model(\"form\")")
    Assert.Equal<(string * string) list>(expected "moved", warned "norm(delta(\"moved\", base))")
    Assert.Equal<(string * string) list>(expected "moved", warned "m = model(\"moved\")\n0.5 * base + 0.5 * m\nslerp(m, base, 0.5)")
    Assert.Equal<(string * string) list>([], warned "norm(delta(\"moved\", base, vocab = \"by-token\"))")
