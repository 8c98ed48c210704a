module Tva.Tests.JsonTests

open System
open System.Text.Json
open Tva
open Tva.Dsl
open Xunit

let private parse (text: string) = JsonDocument.Parse(text).RootElement

let private lines (ran: Ran) =
    ran.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries) |> Array.map parse |> List.ofArray

let private field (name: string) (e: JsonElement) = e.GetProperty(name)

[<Fact>]
let ``an event is one line`` () =
    let table = Shown.Table(ResultTable.Of([ "norm" ], [ "a\nb", [ nan ]; "c", [ 1.5 ] ]))
    let line = (Json.event (Event.Shown(Some "x", [ table; Shown.Number infinity; Shown.Truth true ]))).Value
    Assert.DoesNotContain('\n', line)
    let e = parse line
    Assert.Equal("shown", (field "event" e).GetString())
    Assert.Equal("x", (field "expression" e).GetString())
    let items = field "items" e
    Assert.Equal("a\nb", (items[0] |> field "rows").[0].GetProperty("name").GetString())
    Assert.Equal("nan", (items[0] |> field "rows").[0].GetProperty("values").[0].GetString())
    Assert.Equal(1.5, (items[0] |> field "rows").[1].GetProperty("values").[0].GetDouble())
    Assert.Equal("inf", (items[1] |> field "value").GetString())
    Assert.True((items[2] |> field "value").GetBoolean())

[<Fact>]
let ``progress is for people`` () =
    Assert.Equal(None, Json.event (Event.Progressed(Tva.Core.Execution.RunProgress(1L, 2L))))

[<Fact>]
let ``results`` () =
    let ran = Command.run [ "eval"; "print(1 + 1, \"two\"); 1 / 4"; "--json-lines" ]
    Assert.Equal(0, ran.Status)
    Assert.Equal("", ran.Error)
    let shown = lines ran |> List.filter (fun e -> (field "event" e).GetString() = "shown")
    Assert.Equal(2, shown.Length)
    Assert.Equal(2.0, (field "items" shown[0]).[0].GetProperty("value").GetDouble())
    Assert.Equal("two", (field "items" shown[0]).[1].GetProperty("value").GetString())
    Assert.Equal(0.25, (field "items" shown[1]).[0].GetProperty("value").GetDouble())

[<Fact>]
let ``diagnostics`` () =
    let ran = Command.run [ "eval"; "x = 1\ny = zz + x"; "--json-lines" ]
    Assert.Equal(2, ran.Status)
    let d = Assert.Single(lines ran)
    Assert.Equal("diagnostic", (field "event" d).GetString())
    Assert.Equal("error", (field "severity" d).GetString())
    Assert.Matches("^TVA\\d{4}$", (field "code" d).GetString())
    Assert.Equal("<eval>", (field "file" d).GetString())
    Assert.Equal((2, 5, 7), ((field "line" d).GetInt32(), (field "column" d).GetInt32(), (field "endColumn" d).GetInt32()))
    Assert.NotEqual<string>("", (field "message" d).GetString())
    d.GetProperty "help" |> ignore

[<Fact>]
let ``faults and assertions`` () =
    let fault = Command.run [ "run"; "nowhere.tva"; "--json-lines" ]
    Assert.Equal(1, fault.Status)
    Assert.Equal("fault", (field "event" (Assert.Single(lines fault))).GetString())
    let failed = Command.run [ "eval"; "assert 1 > 2, \"no\""; "--json-lines" ]
    Assert.Equal(3, failed.Status)
    Assert.Equal("assert", (field "event" (List.last (lines failed))).GetString())

[<Fact>]
let ``what an adapter's modules lose is told for each of them`` () =
    use temp = new TempFolder()
    let lora = (Repository.path "tests/golden/lora").Replace('\\', '/')
    let text = $"base = model(\"{lora}/base.safetensors\"); delta(\"{lora}/adapter\", base) |> save(\"low\", as = \"lora\", rank = 3)"
    let ran = Command.runIn temp.Path "" [ "eval"; text; "--json-lines" ]
    Assert.Equal(0, ran.Status)
    let told = lines ran |> List.find (fun e -> (field "event" e).GetString() = "truncated")
    let modules = [ for m in (field "modules" told).EnumerateArray() -> string ((field "name" m).GetString()), (field "rank" m).GetInt32(), (field "relative_error" m).GetDouble() ]
    Assert.Equal(6, modules.Length)
    Assert.Contains(("model.layers.1.q", 2, 0.0), modules)
    Assert.All(modules, fun (_, rank, error) -> Assert.True(rank <= 3 && error >= 0.0 && error < 1.0))
