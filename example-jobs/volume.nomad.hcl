# Data that outlives the task, in a volume of the client. The client's configuration needs
# host_volume "example" { path = "/srv/example" }
#
#     nomad job run -var image=URL -var pot=NAME example-jobs/volume.nomad.hcl

variable "image" {
  type        = string
  default     = "http://127.0.0.1:8000/pots"
  description = "URL of the directory that the image's files are in"
}

variable "pot" {
  type    = string
  default = "hello-linux" # hello-freebsd, on a client that runs FreeBSD
}

job "volume" {
  type = "batch"

  group "volume" {
    volume "data" {
      type   = "host"
      source = "example"
    }

    task "write" {
      driver = "pot"

      volume_mount {
        volume      = "data"
        destination = "/data"
      }

      config {
        image   = var.image
        pot     = var.pot
        tag     = "1.0"
        command = "/bin/hello"
        args    = ["write", "/data/written", "by the job volume"]
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MiB, though Nomad calls it MB
      }
    }
  }
}
