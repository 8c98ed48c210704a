/// What `tva import` writes where, and that its scripts pass the check.
module Tva.Tests.ImportTextTests

open System
open System.IO
open System.Text.Json
open Tva
open Xunit

let private zoo = Repository.path "examples/zoo"

let private linear = "merge_method: linear\nmodels:\n  - model: a.safetensors\n  - model: b.safetensors\nparameters: {weight: 1}\n"

/// A folder with a configuration and the models it names.
let private folder () =
    let temp = new TempFolder()
    for name, file in [ "a", "tasks/digits"; "b", "tasks/letters"; "base", "base" ] do
        File.Copy(Path.Combine(zoo, file + ".safetensors"), temp.File $"{name}.safetensors")
    temp.Write("merge.yml", linear) |> ignore
    temp

let private import (temp: TempFolder) (argv: string list) = Command.runIn temp.Path "" ("import" :: argv)

[<Fact>]
let ``the script goes to stdout and nothing else does`` () =
    use temp = folder ()
    let ran = import temp [ "merge.yml" ]
    let expected =
        "# Made by tva import from mergekit's merge.yml.\n\na = model(\"a.safetensors\")\nb = model(\"b.safetensors\")\n\n"
        + "merged = average([a, b])\nmerged |> save(\"merged.safetensors\")\n"
    Assert.Equal({ Status = 0; Out = expected; Error = "" }, ran)
    let piped = Command.runIn temp.Path ran.Out [ "check"; "-" ]
    Assert.Equal(0, piped.Status)

[<Fact>]
let ``a configuration can come from the standard input`` () =
    use temp = folder ()
    let ran = Command.runIn temp.Path linear [ "import"; "-" ]
    Assert.Equal(0, ran.Status)
    Assert.Contains("average([a, b])", ran.Out)

[<Fact>]
let ``a script in a file is not written over`` () =
    use temp = folder ()
    let first = import temp [ "merge.yml"; "-o"; "out/merge.tva" ]
    Assert.Equal({ Status = 0; Out = ""; Error = "saved out/merge.tva\n" }, first)
    // Paths in a script are relative to it, and it saves under its own name.
    let text = File.ReadAllText(temp.File "out/merge.tva")
    Assert.Contains("model(\"../a.safetensors\")", text)
    Assert.Contains("save(\"merge.safetensors\")", text)
    Assert.Equal(0, (Command.runIn temp.Path "" [ "check"; "out/merge.tva" ]).Status)
    File.WriteAllText(temp.File "out/merge.tva", "mine")
    let second = import temp [ "merge.yml"; "--out"; "out/merge.tva" ]
    Assert.Equal({ Status = 1; Out = ""; Error = "tva: out/merge.tva: is there already; --force writes over it\n" }, second)
    Assert.Equal("mine", File.ReadAllText(temp.File "out/merge.tva"))
    Assert.Equal(0, (import temp [ "merge.yml"; "-o"; "out/merge.tva"; "--force" ]).Status)
    Assert.Equal(text, File.ReadAllText(temp.File "out/merge.tva"))

[<Fact>]
let ``a wrong configuration writes nothing`` () =
    use temp = folder ()
    temp.Write("bad.yml", linear + "dtype: int3\n") |> ignore
    let ran = import temp [ "bad.yml"; "-o"; "bad.tva" ]
    Assert.Equal(2, ran.Status)
    Assert.StartsWith("bad.yml:6:8: error TVA0906: there is no dtype `int3`\n", ran.Error)
    Assert.False(File.Exists(temp.File "bad.tva"))

[<Fact>]
let ``warnings are errors where that is wanted`` () =
    use temp = folder ()
    temp.Write("w.yml", linear + "chat_template: auto\n") |> ignore
    Assert.Equal(0, (import temp [ "w.yml" ]).Status)
    let strict = import temp [ "w.yml"; "--strict" ]
    Assert.Equal((2, ""), (strict.Status, strict.Out))

[<Fact>]
let ``as JSON the script and what is said of the configuration are objects`` () =
    use temp = folder ()
    temp.Write("w.yml", linear + "chat_template: auto\n") |> ignore
    let ran = import temp [ "w.yml"; "--json" ]
    Assert.Equal("", ran.Error)
    let lines = ran.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries) |> Array.map (fun l -> JsonDocument.Parse(l).RootElement)
    Assert.Equal<string list>([ "diagnostic"; "script" ], [ for l in lines -> Golden.text (l.GetProperty "event") ])
    Assert.Equal((6, 1), (lines[0].GetProperty("line").GetInt32(), lines[0].GetProperty("column").GetInt32()))
    Assert.EndsWith("save(\"merged.safetensors\")\n", Golden.text (lines[1].GetProperty "text"))

[<Theory>]
[<InlineData("import", "missing.yml", 1, "missing.yml: doesn't exist")>]
[<InlineData("import", ".", 1, ".: is a folder, not a configuration")>]
[<InlineData("import", "a.safetensors", 1, "is no UTF-8 text")>]
[<InlineData("check", "--force", 2, "needs a script")>]
let ``what is no configuration is a fault`` (command: string) (argument: string) (status: int) (message: string) =
    use temp = folder ()
    let ran = Command.runIn temp.Path "" [ command; argument ]
    Assert.Equal(status, ran.Status)
    Assert.Contains(message, ran.Error)

[<Fact>]
let ``options of import are of import alone`` () =
    use temp = folder ()
    for option in [ [ "--force" ]; [ "-o"; "x.tva" ] ] do
        let ran = Command.runIn temp.Path "" ([ "check"; "x.tva" ] @ option)
        Assert.Equal(2, ran.Status)
        Assert.Contains("is an option of tva import", ran.Error)

// Scripts pass the check

/// The check objects to nothing.
let private checks (temp: TempFolder) (config: string) =
    temp.Write("merge.yml", config) |> ignore
    let imported = import temp [ "merge.yml"; "-o"; "merge.tva"; "--force" ]
    Assert.True((imported.Status = 0), imported.Error + config)
    let text = File.ReadAllText(temp.File "merge.tva")
    let ran = Command.runIn temp.Path "" [ "check"; "merge.tva" ]
    Assert.True((ran.Status = 0), ran.Error + text)
    text

let methods () =
    let data = TheoryData<string>()
    for m in Import.Methods.table do
        data.Add m.Name
    data

/// Every setting that a method has, given by filter and by layer where it is a number.
let private settings (m: Import.Methods.Method) =
    let switches = [ "normalize"; "rescale"; "int8_mask"; "nuslerp_flatten"; "nuslerp_row_wise"; "normalize_weights"; "filter_wise" ]
    [ for p in m.Parameters do
          if List.contains p.Name [ "max_iter"; "tol"; "eps" ] then $"  {p.Name}: {p.Default.Value}"
          elif List.contains p.Name switches then $"  {p.Name}: {p.Default.Value = 1.0}"
          else $"  {p.Name}: [{{filter: qkv, value: 0.3}}, {{filter: fc, value: [0.2, 0.4]}}, {{value: [0.1, 0.3, 0.2]}}]" ]

let private config (m: Import.Methods.Method) (varying: bool) =
    let others = if m.Name = "model_stock" || m.Most > 1 then [ "a"; "b" ] else [ "a" ]
    String.Join(
        "\n",
        [ $"merge_method: {m.Name}"
          if m.Base = Import.Methods.Required then "base_model: base.safetensors"
          "models:"
          for o in others do
              $"  - model: {o}.safetensors"
          "parameters:"
          if varying then yield! settings m
          else
              "  int8_mask: false"
              for p in m.Parameters do
                  if p.Default.IsNone then $"  {p.Name}: 0.5" ]
    )

[<Theory>]
[<MemberData(nameof methods)>]
let ``every method's script passes the check, with settings as they are by default and all varying`` (name: string) =
    use temp = folder ()
    let m = Import.Methods.find name |> Option.get
    checks temp (config m false) |> ignore
    checks temp (config m true) |> ignore

[<Fact>]
let ``every method's slices pass the check`` () =
    use temp = folder ()
    for m in Import.Methods.table do
        let models = [ if m.Base = Import.Methods.Required then "base"
                       "a"
                       if m.Name = "model_stock" || m.Most > 1 then "b" ]
        let slice (a: int) (b: int) = String.Join("\n", "  - sources:" :: [ for x in models -> $"      - {{model: {x}.safetensors, layer_range: [{a}, {b}]}}" ])
        let text =
            String.Join(
                "\n",
                [ $"merge_method: {m.Name}"
                  if m.Base = Import.Methods.Required then "base_model: base.safetensors"
                  "slices:"
                  slice 0 3
                  slice 2 4
                  slice 3 4
                  "parameters:"
                  "  t: 0.5"
                  yield! settings { m with Parameters = m.Parameters |> List.filter (fun p -> p.Name <> "t") } ]
            )
        Assert.Contains("stack(", checks temp text)

[<Fact>]
let ``adapters are added to their model, or are task vectors over the base`` () =
    use temp = folder ()
    temp.Write("merge.yml", "merge_method: ties\nbase_model: base.safetensors\nmodels:\n  - model: base.safetensors+lora/one\n  - model: {model: {path: a.safetensors}, lora: {path: lora/two}}\nparameters: {weight: 1, density: 0.5}\n") |> ignore
    let ran = import temp [ "merge.yml" ]
    Assert.Equal(0, ran.Status)
    Assert.Contains("two = a + delta(\"lora/two\", a)\n", ran.Out)
    Assert.Contains("tasks = family({ one: delta(\"lora/one\", base), two: two - base }, base)\n", ran.Out)
    Assert.Contains("merged = base + ties(tasks, density = 0.5)\n", ran.Out)

[<Fact>]
let ``modules are parts of one model by their names, and a setting for all has no effect at one model`` () =
    use temp = folder ()
    let text =
        "merge_method: slerp\nbase_model: a.safetensors\nmodules:\n  blocks:\n    models: [{model: b.safetensors, parameters: {t: 0.1}}]\n"
        + "  ln:\n    slices:\n      - sources: [{model: a.safetensors, layer_range: [0, 4]}, {model: b.safetensors, layer_range: [0, 4]}]\n        parameters: {t: 0.9}\n"
        + "parameters: {t: 0.4}\n"
    temp.Write("merge.yml", text) |> ignore
    let ran = import temp [ "merge.yml" ]
    Assert.Equal(0, ran.Status)
    Assert.Contains("blocks = slerp(base, b, 0.4)\nln = slerp(base, b, 0.9)\nmerged = blocks[not \"ln.*\"] + ln[\"ln.*\"]\n", ran.Out)
    Assert.Contains("merge.yml:5:50: warning TVA0911: `t` has no effect at a model", ran.Error)
    Assert.Contains("warning TVA0910: modules are taken to be", ran.Error)
    Assert.Equal(0, (Command.runIn temp.Path ran.Out [ "check"; "-" ]).Status)

[<Fact>]
let ``names are readable, each once, and no words of the language`` () =
    use temp = folder ()
    let models = [ "org/ties"; "x/model.safetensors"; "y/model.safetensors"; "x"; "7B-chat"; "not"; "Ünïcode" ]
    let text = "merge_method: linear\nparameters: {weight: 1}\nmodels:\n" + String.Join("\n", models |> List.map (fun m -> $"  - model: {m}"))
    temp.Write("merge.yml", text) |> ignore
    let ran = import temp [ "merge.yml" ]
    Assert.Equal(0, ran.Status)
    Assert.Contains("average([ties_2, x, y, x_2, m_7B_chat, m_not, Ünïcode])", ran.Out)
    Assert.Contains("# not here yet: hf download org/ties --local-dir org/ties\nties_2 = model(\"org/ties\")", ran.Out)

[<Fact>]
let ``a text that is broken anywhere is told of and never an internal error`` () =
    use temp = folder ()
    let whole = File.ReadAllText(Repository.path "tests/cases/import_warnings.yml") + File.ReadAllText(Repository.path "tests/cases/import_documents.yml")
    let random = Random 7
    let odd = "{}[]:,&*!|>'\"%@`#-?\n\t <+~\u0000\uD83D"
    for _ in 1..400 do
        let cut = whole.Substring(0, random.Next whole.Length)
        let at = random.Next(cut.Length + 1)
        let text = cut.Insert(at, String([| for _ in 0 .. random.Next 3 -> odd[random.Next odd.Length] |]))
        let ran = Command.runIn temp.Path text [ "import"; "-" ]
        Assert.True(List.contains ran.Status [ 0; 2 ], ran.Error + "\n" + text)
