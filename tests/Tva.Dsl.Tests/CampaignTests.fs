/// A few seconds of the campaigns of hostile inputs (tests/fuzz): the numbers that every run has. Millions are a command.
module Tva.Dsl.Tests.CampaignTests

open System
open Tva.Fuzz
open Xunit

let formats =
    TheoryData<string, int64>(
        [ for format in Campaign.Formats.Keys ->
              struct (format, (if format = "script" then 300L else 12_000L)) ])

[<Theory>]
[<MemberData(nameof formats)>]
let ``hostile inputs come to faults and diagnostics only`` (format: string) (count: int64) =
    let report = Campaign.Run(format, 1, 0L, count, Environment.ProcessorCount)
    Assert.Equal<string>([], [ for f in report.Findings -> $"{format} --seed 1 --at {f.Number}: {f.What}\n{f.Details}" ])
    // A campaign that refuses all, or all for one reason, would look at nothing.
    Assert.InRange(report.Accepted, count / 100L, count / 2L)
    if format <> "script" then Assert.True(report.Refusals > 10, $"{report.Refusals} ways to be refused")

/// Four seconds once: the kinds' names were found by reflection at each of a thousand calls.
[<Fact>]
let ``script 184639: a thousand calls without commas are checked in time`` () =
    Assert.Empty(Campaign.Run("script", 1, 184639L, 1L, 1).Findings)

[<Fact>]
let ``a number makes the same input again`` () =
    for format in Campaign.Formats.Keys do
        let input () =
            let folder = IO.Directory.CreateTempSubdirectory "tva-fuzz-"
            try
                Campaign.Input(Campaign.Formats[format].Invoke folder.FullName, 1, 77L)
            finally
                folder.Delete true
        Assert.Equal<byte[]>(input (), input ())
