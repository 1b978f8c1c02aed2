# FreeBSD only: a pot with an address of the host's own network, which is added to the interface and
# removed with the task. The operator must allow it in the plugin's config block:
# allowed_network_modes = ["public-bridge", "alias"]
#
#     nomad job run -var image=URL -var pot=NAME -var address=192.0.2.7 example-jobs/alias.nomad.hcl

variable "image" {
  type        = string
  default     = "http://127.0.0.1:8000/pots"
  description = "URL of the directory that the image's files are in"
}

variable "pot" {
  type    = string
  default = "hello-linux" # hello-freebsd, on a client that runs FreeBSD
}

variable "address" {
  type    = string
  default = "192.0.2.7"
}

job "alias" {
  constraint {
    attribute = "${attr.driver.pot.host}"
    value     = "freebsd"
  }

  group "alias" {
    task "web" {
      driver = "pot"

      service {
        name         = "example-alias"
        provider     = "nomad"
        address_mode = "driver"
        port         = 8080
      }

      config {
        image   = var.image
        pot     = var.pot
        tag     = "1.0"
        command = "/bin/hello"
        args    = ["serve", ":8080"]

        network_mode = "alias"
        ip           = [var.address] # or "INTERFACE|ADDRESS"
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MiB, though Nomad calls it MB
      }
    }
  }
}
