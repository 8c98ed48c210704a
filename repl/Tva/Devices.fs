/// From the devices there are to what `tva device` prints.
module Tva.Devices

open System
open Tva.Core.Devices
open Tva.Core.Tensors
open Tva.Dsl

let private processor () =
    DeviceInfo("cpu", "the CPU, by this program's own vector code", $".NET {Environment.Version}", GC.GetGCMemoryInfo().TotalAvailableMemoryBytes, DeviceKind.Processor, true, false, true)

let private kind (d: DeviceInfo) =
    match d.Kind with
    | DeviceKind.Gpu -> "graphics card"
    | DeviceKind.Processor -> "processor"
    | _ -> "other"

let private has (d: DeviceInfo) =
    [ if d.Fp64 then "fp64"
      if d.Fp16 then "f16"
      if d.Exact then "same bits as the CPU" else "within 1 ulp of the CPU" ]

let private status (d: DeviceInfo) =
    match d.Unusable with
    | null -> "ready"
    | reason -> $"can't be used: {reason}"

let private parts (d: DeviceInfo) =
    [ kind d
      // One without a driver tells none.
      if d.Memory > 0L then Sizes.Text d.Memory
      d.Driver ]

/// A line for a device, then what it has.
let lines (number: string) (d: DeviceInfo) =
    [ $"{number}  {d.Id}: {d.Name}"
      "   " + String.Join(", ", parts d)
      "   " + String.Join(", ", has d) + "; " + status d ]

let private json (d: DeviceInfo) =
    Json.line (fun json ->
        json.WriteString("id", d.Id)
        json.WriteString("name", d.Name)
        json.WriteString("kind", kind d)
        json.WriteString("driver", d.Driver)
        json.WriteNumber("memory", d.Memory)
        json.WriteBoolean("fp64", d.Fp64)
        json.WriteBoolean("f16", d.Fp16)
        json.WriteBoolean("exact", d.Exact)
        json.WriteString("status", status d))

/// What is wrong with a device's name, by itself: nothing is called so, or several are. One that has a name and isn't there, or can't be used,
/// is the machine's fault and told when it is opened.
let mistake (name: string) : string option =
    let is (other: string) = name.Equals(other, StringComparison.OrdinalIgnoreCase)
    let names = [ "cpu"; "gpu"; "auto" ]
    // A number, or a way to devices and what it calls one.
    let hasForm () =
        Seq.forall Char.IsAsciiDigit name
        || DeviceCatalog.Providers |> Seq.exists (fun p -> is p.Name || name.StartsWith(p.Name + ":", StringComparison.OrdinalIgnoreCase))
    if List.exists is names || hasForm () then None
    else
        match List.ofSeq (DeviceCatalog.Called name) with
        | [ _ ] -> None
        | [] ->
            let known = names @ [ for d in DeviceCatalog.Devices -> d.Id ]
            let help = Suggest.question id name known |> Option.defaultValue $"choose {Suggest.listing known}, or a part of a name that tva device lists"
            Some $"--device {name}: no device is called so; {help}"
        | several ->
            let those = several |> List.map (fun d -> $"{d.Id} ({d.Name})") |> Suggest.listing
            Some $"--device {name}: more than one is called so: {those}; name one by its id"

let run (report: Report) =
    let found = List.ofSeq DeviceCatalog.Devices
    if report.Json then
        for d in processor () :: found do
            report.Result(json d)
    else
        let missing = [ for p in DeviceCatalog.Providers do match p.Missing with null -> () | text -> text ]
        [ yield! lines "-" (processor ())
          for number, d in List.indexed found do
              yield! lines (string number) d
          yield! missing ]
        |> fun text -> report.Result(String.Join("\n", text))
    Exit.Done
