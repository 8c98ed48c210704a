/// Small checkpoints made for a test: from names, shapes and numbers to safetensors files, and from files to their bytes by tensor.
module Tva.Dsl.Tests.Written

open System
open System.Buffers.Binary
open System.IO
open System.Text
open Tva.Core.Checkpoints

type Tensor = { Name: string; DType: string; Shape: int list; Bytes: byte[] }

let f32 name shape (values: float list) =
    { Name = name; DType = "F32"; Shape = shape; Bytes = values |> List.map (fun v -> BitConverter.GetBytes(float32 v)) |> Array.concat }

/// The upper halves of float32s; the values must need no more.
let bf16 name shape (values: float list) =
    { Name = name; DType = "BF16"; Shape = shape; Bytes = values |> List.map (fun v -> (BitConverter.GetBytes(float32 v))[2..3]) |> Array.concat }

let i64 name shape (values: int64 list) =
    { Name = name; DType = "I64"; Shape = shape; Bytes = values |> List.map BitConverter.GetBytes |> Array.concat }

/// Writes the format by hand: the length of the header, the header, the bytes.
let save (path: string) (tensors: Tensor list) =
    Directory.CreateDirectory(string (Path.GetDirectoryName path)) |> ignore
    let ends = (0, tensors) ||> List.scan (fun at t -> at + t.Bytes.Length)
    let entries =
        List.zip tensors (List.pairwise ends)
        |> List.map (fun (t, (from, upTo)) ->
            let shape = String.Join(",", t.Shape)
            $"\"{t.Name}\":{{\"dtype\":\"{t.DType}\",\"shape\":[{shape}],\"data_offsets\":[{from},{upTo}]}}")
    let header = Encoding.UTF8.GetBytes("{" + String.Join(",", entries) + "}")
    let length = Array.zeroCreate<byte> 8
    BinaryPrimitives.WriteInt64LittleEndian(length, int64 header.Length)
    File.WriteAllBytes(path, Array.concat [ length; header; yield! tensors |> List.map _.Bytes ])

/// By tensor its type, shape and bytes.
let bytesOf (path: string) =
    use c = Checkpoint.Open path
    [ for t in c.Tensors do
          let bytes = Array.zeroCreate<byte> (int t.Bytes)
          c.Read(t, 0L, bytes)
          t.Name, (t.DType, string t.Shape, bytes) ]
    |> Map.ofList
